"""Readings, alerts, messages and days, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock, opened

from etl.models.summary import RunSummary, SyncedDay
from etl.models.traffic import CountryVisitors, Traffic, TrafficDay, TrafficReading
from etl.state import runs
from etl.state.alerts import CLAIM, AlertState
from etl.state.store import Store, open_state

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "site_1"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def store(state_url: str) -> Iterator[Store]:
    with opened(state_url, FakeClock()) as store:
        yield store


def reading(at: datetime, visitors: int = 5, **facts: Any) -> TrafficReading:
    return TrafficReading(SITE, "24h", at, Traffic(visitors, **facts))


def test_a_reading_comes_back_as_it_was(store: Store) -> None:
    days = (TrafficDay(date(2026, 1, 1), 3), TrafficDay(date(2026, 1, 2), 4, 9))
    taken = reading(
        NOW, 7, page_views=9, bounce_rate=42.3, countries=(CountryVisitors("Chad", 2),), days=days
    )
    with store.beside() as state:
        state.readings.add(taken)

    with store.reading() as state:
        assert state.readings.last(SITE, "24h", until=NOW) == taken
        assert state.readings.last(SITE, "7d", until=NOW) is None
        assert state.readings.last("site_2", "24h", until=NOW) is None
        assert state.readings.last(SITE, "24h", until=NOW - HOUR) is None


def test_the_previous_report_is_no_reading_of_an_alert(store: Store) -> None:
    first, second, third = (reading(NOW + number * HOUR, number) for number in range(3))
    with store.beside() as state:
        for each in (first, second, third):
            state.readings.add(each)
        state.readings.mark_reported(SITE, "24h", first.at)
        state.readings.mark_reported(SITE, "24h", third.at)

    with store.reading() as state:
        assert state.readings.last_reported(SITE, "24h", before=third.at) == first
        assert state.readings.last_reported(SITE, "24h", before=first.at) is None
        assert state.readings.first_after(SITE, "24h", first.at + HOUR / 2) == second


def test_of_old_readings_the_first_of_a_day_is_kept_and_every_report(store: Store) -> None:
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    taken = [reading(midnight + number * 6 * HOUR, number) for number in range(12)]
    with store.beside() as state:
        for each in taken:
            state.readings.add(each)
            if each.traffic.visitors == 2:
                state.readings.mark_reported(SITE, "24h", each.at)
        state.readings.add(reading(midnight + 5 * DAY, 99))

    with store.reading() as state:
        found, at = [], midnight
        while left := state.readings.first_after(SITE, "24h", at):
            found.append(left.traffic.visitors)
            at = left.at + timedelta(microseconds=1)
    assert found == [0, 2, 4, 8, 99]


def test_an_alert_is_remembered(store: Store) -> None:
    on = AlertState(holds=True, since=NOW, judged=NOW)
    off = AlertState(holds=False, since=NOW + HOUR, judged=NOW + HOUR)
    with store.beside() as state:
        assert state.alerts.get(SITE, "above 5 24h") is None
        state.alerts.put(SITE, "above 5 24h", on)
    with store.beside() as state:
        assert state.alerts.get(SITE, "above 5 24h") == on
        state.alerts.put(SITE, "above 5 24h", off)

    with store.reading() as state:
        assert state.alerts.get(SITE, "above 5 24h") == off
        assert state.alerts.get("site_2", "above 5 24h") is None


def test_a_message_is_somebody_s_until_he_has_sent_it_or_was_killed(store: Store) -> None:
    with store.beside() as state:
        state.alerts.queue("slack", "one", NOW)
        state.alerts.queue("apprise", "two", NOW)
    with store.beside() as state:
        mine = state.alerts.claim("slack", NOW)
        assert mine
        assert (mine.text, mine.made) == ("one", NOW)
    with store.beside() as state:
        assert state.alerts.claim("slack", NOW + CLAIM / 2) is None
        assert state.alerts.claim("slack", NOW + 2 * CLAIM) == mine
        state.alerts.release(mine)
        assert state.alerts.claim("slack", NOW + 2 * CLAIM) == mine
        state.alerts.sent(mine)

    with store.beside() as state:
        assert state.alerts.claim("slack", NOW + DAY) is None
        other = state.alerts.claim("apprise", NOW + DAY)
        assert other
        assert other.text == "two"


def test_what_came_later_waits_for_what_came_first(store: Store) -> None:
    with store.beside() as state:
        state.alerts.queue("slack", "it began", NOW)
        state.alerts.queue("slack", "it has ended", NOW)
        first = state.alerts.claim("slack", NOW)
        assert first
        assert state.alerts.claim("slack", NOW) is None
        state.alerts.sent(first)
        second = state.alerts.claim("slack", NOW)
        assert second
        assert (first.text, second.text) == ("it began", "it has ended")


def test_a_claim_from_the_future_keeps_nobody_away(store: Store) -> None:
    with store.beside() as state:
        state.alerts.queue("slack", "one", NOW)
        state.alerts.claim("slack", NOW + DAY)
        assert state.alerts.claim("slack", NOW)


def test_runs_that_are_forgotten_leave_their_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "KEPT_RUNS", 3)
    first = datetime(2026, 1, 1, 23, tzinfo=UTC)
    with store.transaction() as state:
        website = state.runs.website(SITE).id
    for number in range(8):
        summary = RunSummary(f"run{number}", "incremental", SITE, dry_run=False)
        summary.contacts.created, summary.requests.zenovay = 2, 1
        with store.transaction() as state:
            started = first + number * HOUR
            state.runs.begin(summary.run, website, "incremental", started)
            for _ in range(2):
                state.runs.end(summary.run, started, summary.as_dict(), kept_since=started + 100 * HOUR)

    with store.reading() as state:
        assert len(state.runs.last(SITE, 100)) == 3
        assert state.runs.days(first) == [
            SyncedDay(date(2026, 1, 1), created=2, requests=1),
            SyncedDay(date(2026, 1, 2), created=14, requests=7),
        ]


def test_what_no_run_touches_is_written_while_one_goes_on(state_url: str, store: Store) -> None:
    with open_state(state_url) as connection:
        other = Store(connection, clock=FakeClock())
        other.make_ready()
        with other.beside() as state:
            state.readings.add(reading(NOW))

    with store.transaction() as state:
        assert state.readings.last(SITE, "24h", until=NOW) == reading(NOW)


def test_a_new_state_is_made_ready_without_a_run(state_url: str) -> None:
    with open_state(state_url) as connection:
        store = Store(connection, clock=FakeClock())
        store.make_ready()
        with store.beside() as state:
            state.readings.add(reading(NOW))
    with opened(state_url, FakeClock()) as again, again.reading() as state:
        assert state.readings.last(SITE, "24h", until=NOW) == reading(NOW)
        assert state.runs.websites() == {}
