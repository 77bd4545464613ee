"""The requests of a month: counted, corrected, spent, and begun anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import NOW, FakeClock

from etl.errors import UnavailableError
from etl.extract.budget import Budget, month_after
from etl.models.reading import Quota
from etl.network.reply import Reply

HOUR = timedelta(hours=1)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def said(status: int = 200, **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-").lower(): text for name, text in headers.items()}, b"")


def spent(budget: Budget, count: int) -> None:
    for _ in range(count):
        budget.spend()


def test_every_request_counts_until_the_month_is_spent() -> None:
    budget = Budget(clock=FakeClock(), limit=3)
    spent(budget, 3)
    with pytest.raises(
        UnavailableError, match=r"3 of the 3 requests .* ends at 2026-03-01T00:00:00Z"
    ) as caught:
        budget.spend()
    assert caught.value.exit_code == 4
    assert caught.value.until is None
    assert budget.quota == Quota(3, None, MARCH)


def test_the_reserve_is_left_for_people() -> None:
    budget = Budget(clock=FakeClock(), limit=100, reserve=0.05)
    spent(budget, 95)
    with pytest.raises(UnavailableError, match="the last 5 are kept for people"):
        budget.spend()

    people = Budget(clock=FakeClock(), limit=100)
    people.restore(budget.quota, unlogged=0)
    spent(people, 5)
    with pytest.raises(UnavailableError):
        people.spend()


def test_a_person_may_try_though_the_month_is_spent() -> None:
    budget = Budget(clock=FakeClock(), limit=1, tries=True)
    budget.restore(Quota(7, None, MARCH), unlogged=0)
    budget.spend()
    with pytest.raises(UnavailableError):
        budget.spend()


def restored(*, used: int = 12_000, last: datetime | None, limit: int = 10_000, **settings: Any) -> Budget:
    budget = Budget(clock=FakeClock(), limit=limit, **settings)
    budget.restore(Quota(used, limit, MARCH), unlogged=0, last=last)
    return budget


@pytest.mark.parametrize("last", [None, NOW - HOUR, NOW - 90 * HOUR, NOW + HOUR])
def test_a_month_that_a_header_calls_spent_is_tried_once_an_hour(last: datetime | None) -> None:
    budget = restored(last=last)
    budget.spend()
    with pytest.raises(UnavailableError, match="once an hour"):
        budget.spend()


@pytest.mark.parametrize("last", [NOW, NOW - HOUR + timedelta(seconds=1)])
def test_within_the_hour_it_is_left_alone(last: datetime) -> None:
    with pytest.raises(UnavailableError, match=r"12000 of the 10000 .* by Zenovay's headers"):
        restored(last=last).spend()


def test_a_good_answer_disproves_that_the_month_is_spent() -> None:
    budget = restored(last=None)
    budget.spend()
    budget.heed(said(200, X_Usage_Monthly="12000", X_Usage_Limit="10000"))
    spent(budget, 30)


@pytest.mark.parametrize("status", [429, 503])
def test_any_other_answer_does_not(status: int) -> None:
    budget = restored(last=None)
    budget.spend()
    budget.heed(said(status, X_Usage_Monthly="12000", X_Usage_Limit="10000"))
    with pytest.raises(UnavailableError):
        budget.spend()


def test_what_is_left_for_people_is_not_tried() -> None:
    with pytest.raises(UnavailableError, match="kept for people"):
        restored(used=9_600, last=None, reserve=0.05).spend()


def test_a_command_may_be_given_a_number_of_requests() -> None:
    budget = Budget(clock=FakeClock(), limit=100, most=2)
    spent(budget, 2)
    with pytest.raises(UnavailableError, match="2 requests of --max-requests"):
        budget.spend()


def test_what_the_api_says_wins() -> None:
    budget = Budget(clock=FakeClock(), limit=100)
    spent(budget, 2)
    budget.heed(said(X_Usage_Monthly="40", X_Usage_Limit="50", X_Usage_Reset="2026-02-20T00:00:00Z"))
    assert budget.quota == Quota(40, 50, datetime(2026, 2, 20, tzinfo=UTC))
    assert budget.limit == 50


@pytest.mark.parametrize(
    "reset", ["soon", "2036-01-01T00:00:00Z", "2026-03-12T00:00:00Z", "1999-01-01T00:00:00Z"]
)
def test_rubbish_in_the_headers_is_ignored(reset: str) -> None:
    budget = Budget(clock=FakeClock(), limit=100)
    budget.spend()
    budget.heed(said(X_Usage_Monthly="many", X_Usage_Limit="-1", X_Usage_Reset=reset))
    assert budget.quota == Quota(1, None, MARCH)


def test_a_refused_key_costs_nothing() -> None:
    budget = Budget(clock=FakeClock(), limit=100)
    budget.spend()
    budget.heed(said(401))
    assert budget.quota.used == 0


def test_a_new_month_begins_by_the_api_s_clock() -> None:
    clock = FakeClock()
    budget = Budget(clock=clock, limit=100)
    spent(budget, 9)
    clock.advance((MARCH - NOW).total_seconds() - 1)
    assert budget.quota.used == 9
    budget.keep_time(MARCH + timedelta(seconds=1))
    assert budget.quota == Quota(0, None, APRIL, ahead=timedelta(seconds=2))


def test_an_end_of_the_month_that_no_month_has_is_forgotten() -> None:
    budget = Budget(clock=FakeClock(), limit=100)
    budget.restore(Quota(100, 100, NOW + timedelta(days=400)), unlogged=0)
    budget.spend()
    assert budget.quota == Quota(1, 100, MARCH)


def test_a_date_far_ahead_of_our_clock_is_not_the_api_s_clock() -> None:
    budget = Budget(clock=FakeClock(), limit=100)
    assert budget.now_by(NOW + 3 * HOUR) == NOW + 3 * HOUR
    assert budget.now_by(NOW + 4 * HOUR) == budget.now_by(None) == NOW


def test_the_count_goes_on_in_another_process() -> None:
    first = Budget(clock=FakeClock(), limit=100)
    spent(first, 4)
    second = Budget(clock=FakeClock(), limit=100)
    second.restore(first.quota, unlogged=1)
    assert second.quota.used == 5


def test_a_month_ends_with_the_calendar_s() -> None:
    assert month_after(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
