"""The bridge to alembic, imported only when the schema has to change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from etl.errors import StateError
from etl.state.database import place

if TYPE_CHECKING:
    from sqlalchemy import Connection


def scripts() -> Path:
    """The migrations: inside the installed package, or at the top of a checkout."""
    carried = Path(__file__).parents[1] / "migrations"
    return carried if carried.is_dir() else Path(__file__).parents[2] / "migrations"


def upgrade(connection: Connection, current: str | None) -> None:
    """Run the missing migrations on ``connection``. Raises StateError if the database is newer than us."""
    config = Config()
    config.set_main_option("script_location", str(scripts()))
    config.attributes["connection"] = connection
    if current is not None and not _known(config, current):
        raise StateError(
            f"State database {place(connection.engine.url)} was made by a newer visitor-sync"
            f" (revision {current}).",
            fix="It was left untouched. Upgrade this program.",
        )
    command.upgrade(config, "head")


def _known(config: Config, current: str) -> bool:
    try:
        return ScriptDirectory.from_config(config).get_revision(current) is not None
    except CommandError:
        return False
