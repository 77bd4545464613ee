"""Runs the migrations on the program's own connection, or on the one that SYNC_STATE_URL names."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from etl.state.database import connect, rebuilding
from etl.state.indexes import metadata
from etl.state.urls import url_from_environment


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=metadata, render_as_batch=True, transaction_per_migration=False
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if isinstance(given, Connection):
    migrate(given)
else:
    with connect(url_from_environment(), create=True) as own, rebuilding(own), own.begin():
        migrate(own)
