"""What was written: the texts that HubSpot confirmed, those that gave way, and what each run did.

Nothing becomes due by it. What was written before is found out by the next run.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in _contacts():
        op.add_column("contacts", column)
    kept = sa.text("kept_at IS NOT NULL")
    op.create_index("ix_contacts_kept", "contacts", ["kept_at"], sqlite_where=kept, postgresql_where=kept)
    op.add_column("runs", _number())
    op.create_index("ix_runs_number", "runs", ["number"])
    op.create_table(
        "verdicts",
        sa.Column("run", sa.Integer(), autoincrement=False, nullable=False, comment="the number of a run"),
        sa.Column(
            "contact_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False, comment="how often in this run"),
        sa.Column("record", sa.Text(), nullable=True, comment="the record that it was then"),
        sa.Column(
            "before", sa.Text(), nullable=True, comment="JSON: the texts that the run replaced, by property"
        ),
        sa.Column("after", sa.Text(), nullable=True, comment="JSON: the texts that it wrote there"),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name=op.f("fk_verdicts_contact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run", "contact_id", name=op.f("pk_verdicts")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_verdicts_contact_id", "verdicts", ["contact_id"])


def _contacts() -> tuple[sa.Column[object], ...]:
    written = "JSON: the texts that HubSpot confirmed last, by property"
    maybe = "JSON: lists of texts of ours that it may hold instead"
    kept = "JSON: texts of ours that gave way to somebody else's"
    return (
        sa.Column("written", sa.Text(), nullable=True, comment=written),
        sa.Column("maybe", sa.Text(), nullable=True, comment=maybe),
        sa.Column("kept", sa.Text(), nullable=True, comment=kept),
        sa.Column("kept_at", sa.BigInteger(), nullable=True, comment="our clock when that was seen last"),
    )


def _number() -> sa.Column[int]:
    comment = "what verdicts name it by; null for those of older versions"
    return sa.Column("number", sa.Integer(), nullable=True, comment=comment)


def downgrade() -> None:
    op.drop_table("verdicts")
    op.drop_index("ix_runs_number", "runs")
    op.drop_column("runs", "number")
    op.drop_index("ix_contacts_kept", "contacts")
    for column in _contacts():
        op.drop_column("contacts", column.name)
