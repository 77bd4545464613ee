"""The tables with their partial indexes, for whatever makes a database.

Declaring one makes SQLAlchemy import PostgreSQL's dialect with all its drivers, which takes 20 ms.
"""

from __future__ import annotations

from sqlalchemy import Index, text

from etl.state.tables import contacts, metadata

__all__ = ["metadata"]

_PARTIAL = (
    ("ix_contacts_due", ["id"], "due"),
    ("ix_contacts_absent", ["kind", "absent_at"], "absent_at IS NOT NULL"),
    ("ix_contacts_kept", ["kept_at"], "kept_at IS NOT NULL"),
    ("ix_contacts_into", ["into"], '"into" IS NOT NULL'),
    ("ix_contacts_gone", ["id"], "gone"),
    ("ix_contacts_left", ["id"], "made AND wanted IS NULL"),
)
"""Name, columns, and which rows it is of."""

for _name, _columns, _which in _PARTIAL:
    Index(
        _name,
        *[contacts.c[each] for each in _columns],
        sqlite_where=text(_which),
        postgresql_where=text(_which),
    )

Index(
    "uq_contacts_record",
    contacts.c.record,
    unique=True,
    sqlite_where=text("record IS NOT NULL"),
    postgresql_where=text("record IS NOT NULL"),
)
