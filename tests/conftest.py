"""What every test shares."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import openapi
import pytest
from hypothesis import HealthCheck, settings
from openapi import observed
from program import Program
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool
from storm import Storm

from etl.network.proxies import without_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

os.environ.update(without_proxy("127.0.0.1"))  # where the machine has a proxy, loopback is not behind it

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")

settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Exchanges that were not held to HubSpot's documents are no proof: say so, as of a test that skips."""
    if not os.environ.get(openapi.VARIABLE):
        terminalreporter.write_line(
            f"NOT CHECKED: exchanges were not held to HubSpot's documents; {openapi.VARIABLE} names none",
            yellow=True,
        )


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.db'}"


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A database of its own on the server of TEST_POSTGRES_URL; skips loudly where there is none."""
    server = create_engine(POSTGRES, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    name = f"visitor_sync_{uuid.uuid4().hex[:12]}"
    try:
        with server.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}"'))
    except OperationalError:
        if os.environ.get("REQUIRE_POSTGRES"):
            pytest.fail("REQUIRE_POSTGRES is set and no PostgreSQL server answers at TEST_POSTGRES_URL")
        pytest.skip("NO POSTGRESQL SERVER: the PostgreSQL half of this suite did not run (TEST_POSTGRES_URL)")
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(params=["sqlite", "postgres"])
def state_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty state database, once of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The command, against a sandbox whose HubSpot is set up."""
    yield from _program(tmp_path / "program")


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Program]:
    """A second installation, with a sandbox of its own."""
    yield from _program(tmp_path / "another")


def _program(folder: Path) -> Iterator[Program]:
    folder.mkdir()
    with observed() as observers, Storm(observers=observers) as sandbox:
        sandbox.hubspot.install_properties()
        yield Program(sandbox, folder)
