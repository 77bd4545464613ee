"""What reading little needs: order, sweeps, traffic, the requests of the month, unfinished backfills."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def website_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column(
            "swept",
            sa.BigInteger(),
            nullable=True,
            comment="the source's clock at the last reading of the whole newest range",
        ),
        sa.Column(
            "newest_first", sa.Boolean(), nullable=True, comment="how the rows are listed; null: not seen yet"
        ),
        sa.Column(
            "strays",
            sa.Text(),
            nullable=True,
            comment="JSON: the names of rows known to stand out of that order",
        ),
        sa.Column(
            "traffic",
            sa.Text(),
            nullable=True,
            comment="JSON: rows per ten minutes of the last day, as pairs",
        ),
        sa.Column(
            "degraded_since",
            sa.BigInteger(),
            nullable=True,
            comment="since when answers fall short; null: they do not",
        ),
        sa.Column("degraded_why", sa.Text(), nullable=True),
    )


def limit_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column(
            "stated",
            sa.Integer(),
            nullable=True,
            comment="the limit that the API stated, in requests per window",
        ),
        sa.Column("used", sa.BigInteger(), nullable=True, comment="requests of this month"),
        sa.Column("month_limit", sa.BigInteger(), nullable=True, comment="as the API states it"),
        sa.Column(
            "resets_at", sa.BigInteger(), nullable=True, comment="when the month ends, by the API's clock"
        ),
        sa.Column("ahead", sa.BigInteger(), nullable=True, comment="of our clock, microseconds"),
    )


def upgrade() -> None:
    for column in website_columns():
        op.add_column("websites", column)
    for column in limit_columns():
        op.add_column("limits", column)
    op.create_table(
        "backfills",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("website_id", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column(
            "open", sa.Boolean(), nullable=False, comment="no end was asked for: until is when it began"
        ),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column(
            "offset",
            sa.BigInteger(),
            nullable=True,
            comment="where to go on in the list; null: nothing was read yet",
        ),
        sa.Column("tail", sa.Text(), nullable=True, comment="JSON: the names of the rows before it"),
        sa.Column(
            "reached",
            sa.BigInteger(),
            nullable=True,
            comment="all later rows of the window are absorbed; null: no order helps",
        ),
        sa.Column(
            "past", sa.BigInteger(), nullable=True, comment="an offset behind the place that is searched for"
        ),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["website_id"], ["websites.id"], name=op.f("fk_backfills_website_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfills")),
        sa.UniqueConstraint(
            "website_id", "since", "until", "open", name=op.f("uq_backfills_website_id_since_until_open")
        ),
    )


def downgrade() -> None:
    op.drop_table("backfills")
    for column in limit_columns():
        op.drop_column("limits", column.name)
    for column in website_columns():
        op.drop_column("websites", column.name)
