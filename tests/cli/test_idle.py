"""What a run costs the state that finds nothing new, in a process that goes on from run to run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from program import row
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.pool import NullPool, Pool

from etl.cli.printout import Collector
from etl.cli.syncing import sync_new
from etl.clock import SystemClock
from etl.errors import StateError
from etl.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from program import Program

    from etl.settings import Settings

MOST_STATEMENTS = 28
"""The lock and who has it, notes, limits, the run, its end; 115 were too many for a thousand websites."""


@pytest.fixture
def settings(program: Program, state_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a state with people in it, and nothing to be done."""
    program.settings |= {"SYNC_STATE_URL": state_url, "SYNC_MIN_INTERVAL": "0s"}
    program.visitors(*(row(number) for number in range(30)))
    for name, value in program.environment().items():
        monkeypatch.setenv(name, value)
    return load()


def synced(settings: Settings, *, peeks: bool = False) -> Collector:
    collector = Collector()
    assert sync_new(settings, SystemClock(), collector, now=False, peeks=peeks) == 0
    return collector


@contextmanager
def counted() -> Iterator[tuple[list[str], list[object]]]:
    """The statements and the connections meanwhile, of all engines."""
    statements: list[str] = []
    connections: list[object] = []

    def executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    def connected(connection: object, _record: object) -> None:
        connections.append(connection)

    listeners: tuple[tuple[type, str, Callable[..., None]], ...] = (
        (Engine, "before_cursor_execute", executed),
        (Pool, "connect", connected),
    )
    for target, name, listener in listeners:
        event.listen(target, name, listener)
    try:
        yield statements, connections
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)


def test_a_run_that_finds_nothing_asks_little_of_the_state_by_one_connection(settings: Settings) -> None:
    assert [each.contacts.created for each in synced(settings).summaries] == [30]
    for _ in range(3):
        synced(settings)
    with counted() as (statements, connections):
        (summary,) = synced(settings).summaries

    assert (summary.rows.read, summary.requests.hubspot) == (30, 0)
    asked = [each for each in statements if not each.startswith("BEGIN")]
    assert len(asked) <= MOST_STATEMENTS, asked
    assert len(connections) == 1


def test_a_run_that_peeks_looks_by_a_connection_of_its_own(settings: Settings) -> None:
    synced(settings)
    with counted() as (_, connections):
        synced(settings, peeks=True)

    assert len(connections) == 2


def change(url: str, *statements: str) -> None:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        for each in statements:
            connection.execute(text(each))


def test_a_process_that_goes_on_refuses_what_a_newer_one_has_made_meanwhile(
    settings: Settings, state_url: str
) -> None:
    synced(settings)
    change(state_url, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StateError, match="newer visitor-sync") as refused:
        synced(settings)
    assert refused.value.exit_code == 7

    change(state_url, "DROP TABLE alembic_version")
    with pytest.raises(StateError, match="another program"):
        synced(settings)


def test_a_process_that_goes_on_makes_a_state_anew_that_was_taken_away(
    program: Program, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.settings |= {"SYNC_STATE_URL": f"{postgres_url}?schema=probe", "SYNC_MIN_INTERVAL": "0s"}
    program.visitors(*(row(number) for number in range(30)))
    for name, value in program.environment().items():
        monkeypatch.setenv(name, value)
    settings = load()
    synced(settings)
    change(postgres_url, "DROP SCHEMA probe CASCADE")

    (summary,) = synced(settings).summaries

    assert summary.rows.read == 30
    assert len(program.sandbox.hubspot.snapshot()) == 30
