"""Runs the migrations of the tables that portals share, on the program's own connection."""

from __future__ import annotations

from alembic import context

from etl.fleet.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
