"""A PostgreSQL that is away, falls silent, or turns us away: a bounded wait, and the right exit code."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock, opened
from mortal import Fate, Mortal
from program import Ended, row
from proxy import Proxy
from situations import terminate_others, until
from sqlalchemy import make_url, text

from etl.clock import SystemClock
from etl.errors import InterruptedRunError, SettingsError, StateError, SyncError
from etl.state.database import connect
from etl.state.failures import LostError
from etl.state.store import read_state

if TYPE_CHECKING:
    from program import Program

RUN = ("run", "--now", "--json")
ROWS = 230
IMPATIENT = Fate(patience_s=2)


def ended(program: Program, *arguments: str, url: str, fate: Fate = IMPATIENT) -> Ended:
    with Mortal(program, *arguments, fate=fate, SYNC_STATE_URL=url) as mortal:
        return mortal.end()


def impatient(url: str) -> str:
    return f"{url}?connect_timeout=2"


@pytest.mark.parametrize(
    ("command", "moment"),
    [
        (RUN, None),
        (RUN, b"alembic_version"),
        (RUN, b"INSERT INTO runs"),
        (("status",), None),
        (("status",), b"FROM contacts"),
        (("rejections",), b"alembic_version"),
        (("rejections",), b"FROM rejections"),
        (("rejections", "retry"), b"pg_try_advisory_lock"),
        (("rejections", "retry"), b"DELETE FROM rejections"),
    ],
)
def test_a_server_that_falls_silent_is_an_outage(
    program: Program, postgres_url: str, command: tuple[str, ...], moment: bytes | None
) -> None:
    program.settings["SYNC_STATE_URL"] = postgres_url
    program.visitors(row(1), row(2, email="b@example.test"))
    program.sandbox.hubspot.refused_addresses["b@example.test"] = "no"
    ended(program, *RUN, url=postgres_url)
    if command == RUN:
        program.visitors(row(3), row(4))
    with Proxy(postgres_url, silent_at=moment) as proxy:
        if moment is None:
            proxy.fall_silent()
        started = time.monotonic()
        told = ended(program, *command, url=impatient(proxy.url))
        took = time.monotonic() - started
        assert proxy.is_silent

    assert told.exit_code == 4, told.stderr
    assert "State database postgresql" in told.stderr + told.stdout
    assert took < 20
    assert ended(program, *RUN, url=postgres_url).exit_code in {0, 3}


def test_a_server_that_falls_silent_amid_a_run_loses_nothing(program: Program, postgres_url: str) -> None:
    program.visitors(*(row(number) for number in range(ROWS)))
    program.sandbox.hubspot.latency_s = 0.3
    with (
        Proxy(postgres_url) as proxy,
        Mortal(program, *RUN, fate=IMPATIENT, SYNC_STATE_URL=proxy.url) as mortal,
    ):
        until(lambda: bool(program.sandbox.hubspot.busy))
        proxy.fall_silent()
        told = mortal.end()

    assert told.exit_code == 4, told.stderr
    assert told.summary["status"] == "incomplete"
    assert "State database postgresql" in told.summary["reason"]
    program.sandbox.hubspot.latency_s = 0
    assert program.run(SYNC_STATE_URL=postgres_url).exit_code == 0
    assert len(program.sandbox.hubspot.snapshot()) == ROWS


@pytest.mark.parametrize("moment", [None, b"FROM websites", b"INSERT INTO lock"])
def test_a_signal_ends_a_wait_for_a_silent_server(
    program: Program, postgres_url: str, moment: bytes | None
) -> None:
    program.visitors(row(1))
    program.run(SYNC_STATE_URL=postgres_url)
    with (
        Proxy(postgres_url, silent_at=moment) as proxy,
        Mortal(program, *RUN, SYNC_STATE_URL=proxy.url, fate=Fate(patience_s=60)) as mortal,
    ):
        if moment is None:
            proxy.fall_silent()
        until(lambda: proxy.is_silent and proxy.connections > 0)
        time.sleep(0.5)  # until the command waits
        started = time.monotonic()
        mortal.strike(signal.SIGTERM)
        told = mortal.end()
        took = time.monotonic() - started

    assert told.exit_code in {143, -signal.SIGTERM}, told.stderr  # the latter before a run has begun
    assert took < 8


def test_a_signal_ends_connecting_to_a_silent_server(postgres_url: str) -> None:
    clock = SystemClock()
    clock.stop(signal.SIGTERM)
    with Proxy(postgres_url) as proxy:
        proxy.fall_silent()
        started = time.monotonic()
        with pytest.raises(InterruptedRunError), connect(proxy.url, clock=clock):
            pass
    assert time.monotonic() - started < 8


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        ("57P03 the database system is starting up", None, ""),
        ("57P03 the database system is not yet accepting connections", None, ""),
        ("57P01 terminating connection due to administrator command", None, ""),
        ("53300 sorry, too many clients already", None, ""),
        ("53300 remaining connection slots are reserved for superusers", None, ""),
        ('28P01 password authentication failed for user "ann@example.test"', StateError, "user or password"),
        ('28000 no pg_hba.conf entry for host "10.0.0.1"', StateError, "pg_hba.conf"),
        ('28000 role "nobody" does not exist', StateError, "no such user"),
        ('3D000 database "nothing" does not exist', StateError, "no such database"),
        ("28P01 mot de passe erroné", StateError, "refuses the connection"),
    ],
)
def test_what_passes_is_tried_again_and_what_does_not_is_said_at_once(
    postgres_url: str, refusal: str, kind: type[SyncError] | None, said: str
) -> None:
    clock = FakeClock()
    with Proxy(postgres_url, refusals=(refusal,) * 3) as proxy:
        if kind is None:
            with connect(proxy.url, clock=clock) as connection:
                connection.execute(text("SELECT 1"))
            assert proxy.connections == 4
            assert sum(seconds for seconds, _ in clock.waits) > 1
            return
        with pytest.raises(kind, match=said) as caught, connect(proxy.url, clock=clock):
            pass
        assert proxy.connections == 1
        assert type(caught.value) is StateError
        assert "example.test" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "kind"),
    [({"port": 1}, LostError), ({"database": "nothing"}, StateError), ({"username": "nobody"}, StateError)],
    ids=["refused", "no database", "no user"],
)
def test_a_real_server_that_is_not_there_or_does_not_want_us(
    postgres_url: str, change: dict[str, object], kind: type[SyncError]
) -> None:
    clock = FakeClock()
    with pytest.raises(kind), connect(make_url(postgres_url).set(**change), clock=clock):  # type: ignore[arg-type]
        pass
    assert (sum(seconds for seconds, _ in clock.waits) > 5) == (kind is LostError)


def test_an_option_that_the_client_does_not_know_is_a_wrong_setting(postgres_url: str) -> None:
    with pytest.raises(SettingsError, match="SYNC_STATE_URL"), connect(f"{postgres_url}?nonsense=1"):
        pass


def test_a_server_that_is_back_in_a_moment_keeps_no_run_from_its_work(
    program: Program, postgres_url: str
) -> None:
    program.visitors(row(1))
    with Proxy(postgres_url, refusals=("57P03 the database system is starting up",) * 2) as proxy:
        assert program.run(SYNC_STATE_URL=proxy.url).exit_code == 0


def test_a_server_that_stays_away_is_an_outage(program: Program, postgres_url: str) -> None:
    url = make_url(postgres_url).set(port=1).render_as_string(hide_password=False)

    told = ended(program, *RUN, url=url)

    assert told.exit_code == 4, told.stderr
    assert "cannot be reached" in told.stderr


def test_a_run_whose_connection_is_ended_stops_and_the_next_one_goes_on(
    program: Program, postgres_url: str
) -> None:
    program.settings |= {"SYNC_STATE_URL": postgres_url, "HUBSPOT_CONCURRENCY": "1"}
    program.visitors(*(row(number) for number in range(ROWS)))
    program.sandbox.hubspot.latency_s = 1
    with Mortal(program, *RUN) as mortal:
        until(lambda: bool(program.sandbox.hubspot.busy))
        terminate_others(postgres_url)
        with opened(postgres_url, FakeClock()):
            pass  # the lock is free at once
        told = mortal.end()
    sent = program.sandbox.hubspot.upserted_inputs
    program.sandbox.hubspot.latency_s = 0

    assert told.exit_code == 4, told.stderr
    assert told.summary["status"] == "incomplete"
    assert program.run().exit_code == 0
    assert len(program.sandbox.hubspot.snapshot()) == ROWS
    assert program.sandbox.hubspot.upserted_inputs <= ROWS + 100
    assert sent < ROWS


def test_the_password_is_in_no_message(postgres_url: str) -> None:
    url = make_url(postgres_url).set(port=1, password="hunter2", query={"sslpassword": "hunter3"})
    with pytest.raises(LostError) as caught, connect(url, clock=FakeClock()):
        pass
    assert "hunter" not in str(caught.value)


def test_a_statement_that_takes_too_long_is_given_up_by_the_server_too(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.state.postgres.PATIENCE_S", 2)
    with opened(postgres_url, FakeClock()) as store:
        with pytest.raises(LostError), store.transaction():
            store._connection.execute(text("SELECT pg_sleep(10)"))
        with read_state(postgres_url, FakeClock()) as state:
            assert state
