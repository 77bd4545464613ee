"""What a state must know to mend itself: contacts without a verdict, stops, when it was read.

And what it need not: the lock is the operating system's, its row only says whose.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "contacts",
        sa.Column(
            "unanswered",
            sa.Integer(),
            nullable=False,
            server_default=sa.text("0"),
            comment="runs in a row in which HubSpot gave no verdict",
        ),
    )
    op.execute("UPDATE contacts SET unanswered = 1 WHERE alone")
    op.drop_column("contacts", "alone")
    op.add_column(
        "limits",
        sa.Column("stop_kind", sa.String(length=16), nullable=True, comment="how long it can be believed"),
    )
    op.add_column("limits", sa.Column("stop_said_by", sa.Text(), nullable=True))
    op.add_column(
        "limits",
        sa.Column("stop_made", sa.BigInteger(), nullable=True, comment="our clock when the stop was made"),
    )
    op.add_column(
        "websites",
        sa.Column(
            "read_at",
            sa.BigInteger(),
            nullable=True,
            comment="our clock when the last reading began that came to its end",
        ),
    )
    with op.batch_alter_table("facts") as facts:
        facts.alter_column(
            "name", existing_type=sa.String(length=64), type_=sa.Text(), existing_nullable=False
        )
    op.drop_column("lock", "heartbeat")  # a row that is left tells that its owner was killed
    op.drop_column("lock", "process_started")


def downgrade() -> None:
    op.execute("DELETE FROM lock")
    op.add_column(
        "lock",
        sa.Column(
            "process_started",
            sa.Text(),
            nullable=False,
            comment="tells a process from a later one with its pid",
        ),
    )
    op.add_column("lock", sa.Column("heartbeat", sa.BigInteger(), nullable=False))
    op.execute("DELETE FROM facts WHERE length(name) > 64")
    with op.batch_alter_table("facts") as facts:
        facts.alter_column(
            "name", existing_type=sa.Text(), type_=sa.String(length=64), existing_nullable=False
        )
    op.drop_column("websites", "read_at")
    op.drop_column("limits", "stop_made")
    op.drop_column("limits", "stop_said_by")
    op.drop_column("limits", "stop_kind")
    op.add_column(
        "contacts",
        sa.Column(
            "alone",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="goes in a request of its own",
        ),
    )
    op.execute("UPDATE contacts SET alone = (unanswered > 0)")
    op.drop_column("contacts", "unanswered")
