"""The partial indexes of the tables, for the migrations and their test alone.

Declaring one makes SQLAlchemy import PostgreSQL's dialect with all its drivers, which takes 20 ms.
"""

from __future__ import annotations

from sqlalchemy import Index, text

from etl.state.tables import contacts

Index("ix_contacts_due", contacts.c.id, sqlite_where=text("due"), postgresql_where=text("due"))
