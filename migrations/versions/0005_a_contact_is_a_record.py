"""A contact is a record: what leads to one, who is absent or gone, links, who is left out or forgotten.

Nothing becomes due by it. Record ids that the ledger has are used from now on; where several contacts had one
and the same, the first keeps it, and the others turn out to be it at their next delivery.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KINDS = "kind IN ('email', 'visitor', 'record')"
_OLD_KINDS = "kind IN ('email', 'visitor')"
_CHECK = "ck_contacts_kind"


def _row_id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("contacts", recreate="auto") as contacts:
        if op.get_bind().dialect.name != "sqlite":
            contacts.drop_constraint(op.f(_CHECK), type_="check")
        contacts.alter_column("hubspot_id", new_column_name="record", existing_type=sa.Text())
        contacts.create_check_constraint(op.f(_CHECK), _KINDS)
        for each in _columns():
            contacts.add_column(each)
        contacts.create_foreign_key(op.f("fk_contacts_into"), "contacts", ["into"], ["id"])
    op.execute(
        "UPDATE contacts SET record = NULL WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER"
        " (PARTITION BY record ORDER BY id) AS place FROM contacts WHERE record IS NOT NULL) AS placed"
        " WHERE place > 1)"
    )
    for name, columns, which in (
        ("ix_contacts_absent", ["kind", "absent_at"], "absent_at IS NOT NULL"),
        ("ix_contacts_into", ["into"], '"into" IS NOT NULL'),
        ("ix_contacts_gone", ["id"], "gone"),
        ("ix_contacts_left", ["id"], "made AND wanted IS NULL"),
    ):
        op.create_index(
            name, "contacts", columns, sqlite_where=sa.text(which), postgresql_where=sa.text(which)
        )
    known = sa.text("record IS NOT NULL")
    op.create_index(
        "uq_contacts_record", "contacts", ["record"], unique=True, sqlite_where=known, postgresql_where=known
    )
    op.add_column(
        "visitors",
        sa.Column(
            "excluded",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="the settings leave it out: nothing but its id is kept",
        ),
    )
    since = "HubSpot's clock when the record got the id"
    op.create_table(
        "links",
        sa.Column("visitor_id", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False, comment=since),
        sa.PrimaryKeyConstraint("visitor_id", "record", name=op.f("pk_links")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_links_record", "links", ["record"])
    digest = "keyed hash of a key of somebody forgotten"
    op.create_table(
        "forgotten",
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment=digest),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_forgotten")),
        sqlite_with_rowid=False,
    )


def _columns() -> list[sa.Column[object]]:
    made, gone = "this program has created the record", "the record was there once and is not any more"
    return [
        sa.Column("made", sa.Boolean(), nullable=False, server_default=sa.false(), comment=made),
        sa.Column("gone", sa.Boolean(), nullable=False, server_default=sa.false(), comment=gone),
        sa.Column(
            "absent",
            sa.LargeBinary(),
            nullable=True,
            comment="fingerprint for which nobody was found in HubSpot",
        ),
        sa.Column("absent_at", sa.BigInteger(), nullable=True, comment="our clock when nobody was found"),
        sa.Column("into", _row_id(), nullable=True, comment="the contact that this is another key of"),
        sa.Column(
            "remains",
            sa.Text(),
            nullable=True,
            comment="JSON: the facts of its visitors that are not kept any more",
        ),
    ]


def downgrade() -> None:
    op.drop_table("forgotten")
    op.drop_table("links")
    op.drop_column("visitors", "excluded")
    for index in (
        "uq_contacts_record",
        "ix_contacts_left",
        "ix_contacts_gone",
        "ix_contacts_into",
        "ix_contacts_absent",
    ):
        op.drop_index(index, "contacts")
    op.execute(
        "UPDATE visitors SET contact_id = NULL WHERE contact_id IN (SELECT id FROM contacts"
        " WHERE kind = 'record')"
    )
    op.execute("DELETE FROM rejections WHERE contact_id IN (SELECT id FROM contacts WHERE kind = 'record')")
    op.execute('UPDATE contacts SET "into" = NULL')
    op.execute("DELETE FROM contacts WHERE kind = 'record'")
    with op.batch_alter_table("contacts", recreate="auto") as contacts:
        if op.get_bind().dialect.name != "sqlite":
            contacts.drop_constraint(op.f(_CHECK), type_="check")
        contacts.drop_constraint(op.f("fk_contacts_into"), type_="foreignkey")
        for each in _columns():
            contacts.drop_column(each.name)
        contacts.alter_column("record", new_column_name="hubspot_id", existing_type=sa.Text())
        contacts.create_check_constraint(op.f(_CHECK), _OLD_KINDS)
