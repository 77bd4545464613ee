"""One tenant's run, called from other threads than the main one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.cli.tenants import TenantRun, sync_tenant
from etl.clock import SystemClock
from etl.errors import LockedError, SettingsError
from etl.models.summary import Status
from etl.settings import Settings, load
from etl.state.store import Store, open_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest
    from program import Program

ROW = {"id": "v1", "email": "ann@example.test", "country_code": "FR"}


@dataclass(frozen=True, slots=True)
class Acme:
    """What declares a tenant, as far as a run looks at it."""

    settings: Settings
    every: Mapping[str, timedelta]
    portal: str = "acme"
    key: str = "agency"


def tenant(program: Program, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Acme:
    with monkeypatch.context() as patched:
        for name, value in program.environment(settings).items():
            patched.setenv(name, value)
        return Acme(load(), {program.website: timedelta(minutes=5)})


def in_threads(*tenants: Acme, **options: Any) -> list[TenantRun]:
    with ThreadPoolExecutor(len(tenants)) as pool:
        return list(pool.map(lambda each: sync_tenant(each, SystemClock(), **options), tenants))


def test_two_tenants_are_synced_side_by_side(
    program: Program, another: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (program, another):
        each.visitors(ROW | {"last_seen": each.sandbox.zenovay.now().isoformat()})
    ended = in_threads(tenant(program, monkeypatch), tenant(another, monkeypatch))
    assert [run.exit_code for run in ended] == [0, 0]
    assert [run.failure for run in ended] == [None, None]
    assert [len(each.sandbox.hubspot.contacts) for each in (program, another)] == [1, 1]


def test_a_site_is_read_once_in_its_interval(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = tenant(program, monkeypatch, SYNC_MIN_INTERVAL="0s")
    (first,), (second,) = in_threads(acme), in_threads(acme)
    assert first.summaries[0].status is Status.DONE
    assert second.summaries[0].status is Status.SKIPPED
    assert "interval" in str(second.summaries[0].reason)
    (third,), (asked,) = in_threads(acme, rest=timedelta(0)), in_threads(acme, now=True)
    assert [run.summaries[0].status for run in (third, asked)] == [Status.DONE, Status.DONE]


def test_what_cannot_be_run_is_told_and_not_raised(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    acme = tenant(program, monkeypatch)
    clock = SystemClock()
    with (
        open_state(f"sqlite:///{program.state_file}", clock) as connection,
        Store(connection, clock=clock).locked(),
    ):
        (locked,) = in_threads(acme)
    assert (locked.exit_code, type(locked.failure)) == (75, LockedError)
    (unknown,) = in_threads(acme, websites=["site-9"])
    assert (unknown.exit_code, type(unknown.failure)) == (2, SettingsError)
    monkeypatch.setattr("etl.cli.wiring.session", None)
    (bug,) = in_threads(acme, now=True)
    assert bug.exit_code == 1
    assert "bug" in str(bug.failure)
