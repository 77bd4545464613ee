"""What is shown of contacts and websites, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock, opened, page, row
from sqlalchemy import func, insert, select, update

from etl.fields import BASIC_FIELDS
from etl.models.summary import Failing
from etl.models.traffic import Traffic, TrafficReading
from etl.models.visitor import Rejection
from etl.pipeline.absorb import absorb
from etl.pipeline.books import Books
from etl.pipeline.clearing import clear
from etl.state.alerts import AlertState
from etl.state.listing import LISTS
from etl.state.tables import contacts, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.state.store import Store

MINUTE = timedelta(minutes=1)
LATER = NOW + timedelta(hours=1)
ANN = "ann@example.com"


@pytest.fixture
def store(state_url: str) -> Iterator[Store]:
    with opened(state_url, FakeClock()) as store:
        yield store


def absorbed(store: Store, website: str, *ids: str) -> None:
    """Visitors of whom the first states Ann's address."""
    rows = [row(name, email=ANN if name == ids[0] else None) for name in ids]
    with store.transaction() as state:
        absorb(
            page(*rows),
            website_id=state.runs.website(website).id,
            anonymous=True,
            synced=BASIC_FIELDS,
            state=state,
            books=Books(),
        )


def test_each_list_holds_as_many_contacts_as_are_counted(store: Store) -> None:
    absorbed(store, "site", "ann", *(f"v{number}" for number in range(8)))
    columns = contacts.c
    states: dict[str, dict[str, Any]] = {
        "v1": {"due": False, "refused": columns.wanted},
        "v2": {"due": False, "blocked": True},
        "v3": {"due": False, "absent": columns.wanted, "absent_at": NOW},
        "v4": {"due": False, "gone": True, "record": "17"},
        "v5": {"due": False, "confirmed": columns.wanted},
        "v6": {"unanswered": 2},
    }
    for name, values in states.items():
        with store.transaction():
            store._connection.execute(update(contacts).where(columns.key == name).values(values))

    with store.reading() as state:
        counts = state.ledger.counts()._asdict()
        listed = {which: state.listing.contacts(which, most=50) for which in LISTS}
        assert {which: len(found) for which, found in listed.items()} == {
            which: counts[which] for which in LISTS
        }
        assert [each.key for each in listed["due"]] == [ANN, "v0", "v6", "v7"]
        assert listed["due"][2].reason == "HubSpot gave no verdict in 2 runs in a row"
        assert [(each.key, each.since) for each in listed["absent"]] == [("v3", NOW)]
        assert [(each.key, each.record) for each in listed["gone"]] == [("v4", "17")]
        assert len(state.listing.contacts("due", most=2)) == 2


def test_a_website_leaves_no_row_behind_and_takes_none_of_another(store: Store) -> None:
    absorbed(store, "old", "ann", "v1", "v2")
    absorbed(store, "new", "ann", "v1")
    traffic = Traffic(1)
    with store.transaction() as state:
        for name in ("old", "new"):
            website_id = state.runs.website(name).id
            state.runs.begin(f"run-{name}", website_id, "incremental", NOW)
            state.rejections.refuse_rows(website_id, [Rejection("k", "no", "CODE", b"d" * 16)])
            state.readings.add(TrafficReading(name, "24h", NOW, traffic))
            state.alerts.put(name, "above 1", AlertState(True, NOW, NOW))  # noqa: FBT003 -- by name it is longer
            number = state.verdicts.number(f"run-{name}")
            done = {"run": number, "contact_id": 1, "outcome": "created", "times": 1}
            store._connection.execute(insert(verdicts).values(done))
            state.notebook.put(f"told_month_{name}", NOW.isoformat())
        old = state.runs.website("old").id

    cleared = clear(old, synced=BASIC_FIELDS, store=store)
    with store.transaction() as state:
        state.websites.erase(old, "old")

    assert cleared == 3
    with store.reading() as state:
        assert list(state.runs.websites()) == ["new"]
        assert state.websites.visitors(old) == 0
        assert [each.run for each in state.verdicts.of_contact(1)] == ["run-new"]
        assert store._connection.execute(select(func.count()).select_from(verdicts)).scalar() == 1
        assert state.runs.last("new", 5)[0]["run"] == "run-new"
        assert len(list(state.rejections.listed())) == 1
        assert state.readings.last("old", "24h", until=LATER) is None
        assert state.readings.last("new", "24h", until=LATER)
        assert state.alerts.get("old", "above 1") is None
        assert state.notebook.get("told_month_old") is None
        assert state.notebook.get("told_month_new")
        due = {contact.contact.key.value for contact in state.ledger.due(after=0, most=50)}
        assert due == {ANN, "v1"}


@pytest.mark.parametrize(
    ("ended", "going_on", "failing"),
    [
        ([], False, None),
        (["done"], False, None),
        (["partial", None], True, None),
        (["partial", None], False, Failing(NOW + 1 * MINUTE, 1, None, None)),
        (["failed", "incomplete"], False, Failing(NOW, 2, 1, "because of 1")),
        (["failed", "done", "failed", "failed"], False, Failing(NOW + 2 * MINUTE, 2, 3, "because of 3")),
        (["failed", None], True, Failing(NOW, 1, 0, "because of 0")),
    ],
)
def test_a_website_fails_since_the_first_run_that_no_good_one_followed(
    store: Store,
    ended: list[str | None],
    going_on: bool,  # noqa: FBT001 -- pytest's
    failing: Failing | None,
) -> None:
    with store.transaction() as state:
        website_id = state.runs.website("site").id
        for number, status in enumerate(ended):
            state.runs.begin(f"r{number}", website_id, "incremental", NOW + number * MINUTE)
            if status:
                told = {"status": status, "exit_code": number, "reason": f"because of {number}"}
                state.runs.end(f"r{number}", LATER, told, kept_since=NOW)
        state.runs.begin("past", website_id, "backfill", NOW + 50 * MINUTE)
        state.runs.end("past", LATER, {"status": "failed"}, kept_since=NOW)

    with store.reading() as state:
        assert state.runs.failing("site", now=LATER, going_on=going_on) == failing
        last = NOW + (len(ended) - 1) * MINUTE if ended else None
        assert state.runs.last_started("site", now=LATER) == last
