"""What a run says of itself while it goes on, where nobody looks at a terminal."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from etl.cli import notices
from etl.cli.printout import PROGRESS_S, Printout
from etl.cli.unbegun import unbegun
from etl.clock import SystemClock
from etl.errors import UnavailableError
from etl.pipeline import Order

if TYPE_CHECKING:
    from etl.models.summary import RunSummary


class Clock(SystemClock):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_the_log_says_once_in_a_while_how_far_a_long_run_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="etl")
    clock = Clock()
    order = Order(run="r1", kind="incremental", website="site")

    with Printout(as_json=False, always=False).watching(order, clock) as observer:
        assert observer is not None
        for _ in range(21):
            observer.rows_read(1000)
            observer.contacts_settled(100)
            clock.seconds += PROGRESS_S / 10

    told = [record.__dict__ for record in caplog.records]
    assert [(facts["website"], facts["rows"], facts["contacts"]) for facts in told] == [
        ("site", 11_000, 1000),
        ("site", 21_000, 2000),
    ]
    assert {facts["action"] for facts in told} == {"run_progress"}


@pytest.mark.parametrize("as_json", [False, True])
def test_why_a_run_could_not_begin_is_told(monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> None:
    told: list[RunSummary] = []
    monkeypatch.setattr(notices, "failed", told.append)
    away = unbegun(UnavailableError("The database is away."), website="w", portal="acme")

    Printout(as_json=as_json, always=False).add(away)

    assert told == [away]
