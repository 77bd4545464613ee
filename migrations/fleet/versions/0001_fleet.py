"""The tables that portals share: limits, the schedule, past ranges, workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_STAMPS = sa.ARRAY(sa.BigInteger).with_variant(sa.JSON, "sqlite")
_ZERO = sa.text("0")


def upgrade() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )
    op.create_table(
        "limits",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("stamps", _STAMPS, nullable=False),
        sa.Column("stated", sa.BigInteger),
        sa.Column("used", sa.BigInteger, nullable=False, server_default=_ZERO),
        sa.Column("period_limit", sa.BigInteger),
        sa.Column("period_ends", sa.BigInteger),
        sa.Column("ahead", sa.BigInteger, nullable=False, server_default=_ZERO),
        sa.Column("paused_until", sa.BigInteger),
        sa.Column("stopped_until", sa.BigInteger),
        sa.Column("stop_reason", sa.Text),
        sa.Column("stop_kind", sa.String(20)),
        sa.Column("stop_said_by", sa.Text),
        sa.Column("stop_made", sa.BigInteger),
        sa.PrimaryKeyConstraint("name", name="pk_limits"),
    )
    op.create_table(
        "portals",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("paused_at", sa.BigInteger),
        sa.Column("resumes_at", sa.BigInteger),
        sa.Column("failures", sa.Integer, nullable=False, server_default=_ZERO),
        sa.Column("contacts_due", sa.BigInteger),
        sa.Column("contacts_rejected", sa.BigInteger),
        sa.Column("account", sa.BigInteger),
        sa.PrimaryKeyConstraint("name", name="pk_portals"),
    )
    op.create_table(
        "sites",
        sa.Column("portal", sa.String(100), nullable=False),
        sa.Column("website", sa.String(255), nullable=False),
        sa.Column("every", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("at_once", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("hurried", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("worker", sa.BigInteger),
        sa.Column("running_since", sa.BigInteger),
        sa.Column("run", sa.String(40)),
        sa.Column("started", sa.BigInteger),
        sa.Column("ended", sa.BigInteger),
        sa.Column("succeeded", sa.BigInteger),
        sa.Column("exit_code", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("skipped", sa.Text),
        sa.Column("watermark", sa.BigInteger),
        sa.Column("failures", sa.Integer, nullable=False, server_default=_ZERO),
        sa.PrimaryKeyConstraint("portal", "website", name="pk_sites"),
    )
    op.create_index("ix_sites_due_at", "sites", ["due_at"])
    op.create_table(
        "backfills",
        sa.Column("id", _ID, nullable=False),
        sa.Column("portal", sa.String(100), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False, server_default=_ZERO),
        sa.Column("rows", sa.BigInteger, nullable=False, server_default=_ZERO),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("exit_code", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("failures", sa.Integer, nullable=False, server_default=_ZERO),
        sa.PrimaryKeyConstraint("id", name="pk_backfills"),
    )
    op.create_table(
        "workers",
        sa.Column("id", _ID, nullable=False, autoincrement=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("declares", sa.Text, nullable=False),
        sa.Column("gone_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )


def downgrade() -> None:
    op.drop_table("workers")
    op.drop_table("backfills")
    op.drop_table("sites")
    op.drop_table("portals")
    op.drop_table("limits")
    op.drop_table("facts")
