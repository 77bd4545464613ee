"""The first schema: websites, visitors, ledger, rejections, runs, lock, limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def row_id() -> sa.types.TypeEngine[int]:
    """SQLite makes a column its row id only if the type is exactly INTEGER."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", row_id(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=7), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("pageviews", sa.BigInteger(), nullable=True),
        sa.Column(
            "wanted",
            sa.LargeBinary(),
            nullable=True,
            comment="fingerprint of what HubSpot should hold; null: no longer wanted",
        ),
        sa.Column(
            "confirmed", sa.LargeBinary(), nullable=True, comment="fingerprint that HubSpot last confirmed"
        ),
        sa.Column(
            "refused", sa.LargeBinary(), nullable=True, comment="fingerprint that HubSpot last rejected"
        ),
        sa.Column(
            "blocked", sa.Boolean(), nullable=False, comment="rejected for good, until somebody retries it"
        ),
        sa.Column("alone", sa.Boolean(), nullable=False, comment="goes in a request of its own"),
        sa.Column("due", sa.Boolean(), nullable=False),
        sa.Column("hubspot_id", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('email', 'visitor')", name=op.f("ck_contacts_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("key", "kind", name=op.f("uq_contacts_key_kind")),
    )
    op.create_index(
        "ix_contacts_due",
        "contacts",
        ["id"],
        unique=False,
        sqlite_where=sa.text("due"),
        postgresql_where=sa.text("due"),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_facts")),
    )
    op.create_table(
        "limits",
        sa.Column("api", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=16), nullable=False, comment="digest of the credential"),
        sa.Column("stopped_until", sa.BigInteger(), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column(
            "sent",
            sa.Text(),
            nullable=True,
            comment="JSON: when the requests of the last window were sent, microseconds",
        ),
        sa.PrimaryKeyConstraint("api", "account", name=op.f("pk_limits")),
    )
    op.create_table(
        "lock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column(
            "process_started",
            sa.Text(),
            nullable=False,
            comment="tells a process from a later one with its pid",
        ),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_lock_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lock")),
    )
    op.create_table(
        "websites",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_websites")),
        sa.UniqueConstraint("name", name=op.f("uq_websites_name")),
    )
    op.create_table(
        "rejections",
        sa.Column("id", row_id(), nullable=False),
        sa.Column("kind", sa.String(length=7), nullable=False),
        sa.Column("website_id", sa.Integer(), nullable=True),
        sa.Column("contact_id", row_id(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('row', 'contact')", name=op.f("ck_rejections_kind")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_rejections_contact_id")),
        sa.ForeignKeyConstraint(["website_id"], ["websites.id"], name=op.f("fk_rejections_website_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejections")),
        sa.UniqueConstraint("contact_id", name=op.f("uq_rejections_contact_id")),
        sa.UniqueConstraint("website_id", "digest", name=op.f("uq_rejections_website_id_digest")),
    )
    op.create_index(op.f("ix_rejections_key"), "rejections", ["key"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("website_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=11), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column(
            "status",
            sa.String(length=10),
            nullable=True,
            comment="null while the run goes on, and for ever if it was killed",
        ),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["website_id"], ["websites.id"], name=op.f("fk_runs_website_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index("ix_runs_website_id_started", "runs", ["website_id", "started"], unique=False)
    op.create_table(
        "visitors",
        sa.Column("website_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("contact_id", row_id(), nullable=True),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("pageviews", sa.BigInteger(), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("country_at", sa.BigInteger(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_at", sa.BigInteger(), nullable=True),
        sa.Column("opted_out", sa.Boolean(), nullable=True),
        sa.Column("opted_out_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_visitors_contact_id")),
        sa.ForeignKeyConstraint(["website_id"], ["websites.id"], name=op.f("fk_visitors_website_id")),
        sa.PrimaryKeyConstraint("website_id", "id", name=op.f("pk_visitors")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_visitors_contact_id"), "visitors", ["contact_id"], unique=False)


def downgrade() -> None:
    for table in ("visitors", "runs", "rejections", "websites", "lock", "limits", "facts", "contacts"):
        op.drop_table(table)
