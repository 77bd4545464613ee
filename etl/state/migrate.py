"""The bridge to alembic, imported only when the schema has to change."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy import Connection


_ALONE = threading.Lock()
"""For alembic, whose context is one of the process."""


def scripts() -> Path:
    """The migrations: inside the installed package, or at the top of a checkout."""
    carried = Path(__file__).parents[1] / "migrations"
    return carried if carried.is_dir() else Path(__file__).parents[2] / "migrations"


def upgrade(connection: Connection, revision: str, *, of: str = "") -> None:
    """Run the migrations on ``connection`` that lead to ``revision``, inside its transaction.

    ``of`` names the folder of tables that are not the state's.
    """
    with _ALONE:
        command.upgrade(_config(connection, of), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Go back to ``revision``, inside the connection's transaction."""
    with _ALONE:
        command.downgrade(_config(connection), revision)


def _config(connection: Connection, of: str = "") -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts() / of))
    config.attributes["connection"] = connection
    return config
