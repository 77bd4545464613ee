"""Watching: what was read of a website's traffic, alerts and their messages, requests beside a run.

Runs that are forgotten leave their counts behind, by day. Nothing becomes due by it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _row_id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "readings",
        sa.Column("id", _row_id(), nullable=False),
        sa.Column("website", sa.Text(), nullable=False),
        sa.Column("range", sa.String(3), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="our clock"),
        sa.Column("traffic", sa.Text(), nullable=False, comment="JSON"),
        sa.Column(
            "reported",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="a report was made of it",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_readings")),
    )
    op.create_index("ix_readings_website_range_at", "readings", ["website", "range", "at"])
    op.create_table(
        "alerts",
        sa.Column("website", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="our clock when that began"),
        sa.Column("judged", sa.BigInteger(), nullable=False, comment="when the last reading was taken"),
        sa.PrimaryKeyConstraint("website", "condition", name=op.f("pk_alerts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "messages",
        sa.Column("id", _row_id(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("claimed", sa.BigInteger(), nullable=True, comment="somebody has begun to send it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.create_table(
        "days",
        sa.Column("website_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False, comment="when it began, UTC"),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False, comment="to the source"),
        sa.ForeignKeyConstraint(["website_id"], ["websites.id"], name=op.f("fk_days_website_id")),
        sa.PrimaryKeyConstraint("website_id", "day", name=op.f("pk_days")),
        sqlite_with_rowid=False,
    )
    for column in _beside():
        op.add_column("limits", column)


def _beside() -> tuple[sa.Column[object], ...]:
    sent = "JSON: when requests beside a run were sent, microseconds"
    used = "requests beside a run that used does not count yet"
    return (
        sa.Column("beside", sa.Text(), nullable=True, comment=sent),
        sa.Column("beside_used", sa.BigInteger(), nullable=False, server_default=sa.text("0"), comment=used),
    )


def downgrade() -> None:
    for column in _beside():
        op.drop_column("limits", column.name)
    for table in ("days", "messages", "alerts", "readings"):
        op.drop_table(table)
