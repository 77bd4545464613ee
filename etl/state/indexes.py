"""The tables with their partial indexes, for whatever makes a database.

Declaring one makes SQLAlchemy import PostgreSQL's dialect with all its drivers, which takes 20 ms.
"""

from __future__ import annotations

from sqlalchemy import Index, text

from etl.state.tables import contacts, metadata

__all__ = ["metadata"]

Index("ix_contacts_due", contacts.c.id, sqlite_where=text("due"), postgresql_where=text("due"))
