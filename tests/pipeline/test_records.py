"""Who a visitor is, held against whatever may happen: links, merges, new addresses, deletions, faults, kills.

The pipeline, the state and the adapter are the real ones; HubSpot is the sandbox's, in this process.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from fakes import COUNTRY_NAMES, row
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from near_portal import LINK, OURS, Event, Fault, Mode, NearPortal

from etl.models.contact import EMAIL, VISITOR, ContactKey
from etl.sandbox.history import versions
from etl.sandbox.wire import instant_text
from etl.transform import merge_all

if TYPE_CHECKING:
    from etl.models.contact import LedgerEntry
    from etl.models.visitor import Visitor

VISITORS = ["v1", "v2", "v3"]
ADDRESSES = ["ann@example.com", "bob@example.com"]
FOREIGN = "carl@example.com"
DAY = timedelta(days=1)

ROWS = st.fixed_dictionaries(
    {"visitor_id": st.sampled_from(VISITORS), "age": st.integers(0, 30)},
    optional={
        "email": st.sampled_from(ADDRESSES),
        "country": st.sampled_from(["DE", "FR"]),
        "pageviews": st.integers(1, 9),
    },
)
WHICH = st.integers(0, 4)
WHO = st.sampled_from(VISITORS)
EVENTS = st.one_of(
    st.tuples(st.just("link"), WHICH, WHO),
    st.tuples(st.just("unlink"), WHICH),
    st.tuples(st.just("merge"), WHICH, WHICH),
    st.tuples(st.just("address"), WHICH, st.sampled_from([*ADDRESSES, FOREIGN])),
    st.tuples(st.just("archive"), WHICH),
    st.tuples(st.just("seed"), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("submit"), st.sampled_from(ADDRESSES), WHO),
)
FAULTS = st.none() | st.builds(
    Fault, st.sampled_from(["kill", "lose", "commit", "drop"]), st.integers(1, 10), st.booleans()
)
MODES = st.builds(
    Mode, st.sampled_from(["upsert", "match", "skip"]), st.sampled_from(["upsert", "match"]), st.booleans()
)


class Records(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.portal = NearPortal()
        self.hubspot, self.clock = self.portal.hubspot, self.portal.clock

    @initialize(
        twice=st.sampled_from(["written", "refused"]), survives=st.booleans(), lag=st.sampled_from([0, 30])
    )
    def hubspot_is_one_way_or_another(self, *, twice: Any, survives: bool, lag: int) -> None:
        self.hubspot.merged_twice = twice
        self.hubspot.unique_survives_merge = survives
        self.hubspot.index_lag_s = lag

    @rule(rows=st.lists(ROWS, min_size=1, max_size=4))
    def rows_arrive(self, rows: list[dict[str, Any]]) -> None:
        now = self.clock.now()
        for facts in rows:
            stated = dict(facts)
            age = timedelta(minutes=stated.pop("age"))
            self.portal.arrive(row(stated.pop("visitor_id"), now - age, **stated))

    @rule(event=EVENTS)
    def somebody_does_something(self, event: Event) -> None:
        self.clock.advance(1)
        self.portal.happen(event)
        self.clock.advance(1)

    @rule(
        mode=MODES,
        fault=FAULTS,
        event=st.none() | st.tuples(st.integers(1, 8), EVENTS),
        seed=st.integers(0, 99),
        minutes=st.sampled_from([0, 1, 60]),
        repeated=st.booleans(),
    )
    def a_run(
        self,
        mode: Mode,
        fault: Fault | None,
        event: tuple[int, Event] | None,
        seed: int,
        minutes: int,
        *,
        repeated: bool,
    ) -> None:
        self.clock.advance(60 * minutes + 1)
        rows = self.portal.rows if repeated else self.portal.pending
        self.portal.run(mode, rows, fault=fault, event=event, seed=seed)

    def settle(self, mode: Mode) -> None:
        for _ in range(3):
            self.clock.advance(600)
            now = self.clock.now()
            for visitor_id in sorted({each.id for each in self.portal.rows}):
                self.portal.arrive(row(visitor_id, now))
            summary, _ = self.portal.run(mode, self.portal.rows)
            assert summary
            assert summary.exit_code in {0, 3}, summary.reason

    @rule(mode=MODES)
    def the_dust_settles(self, mode: Mode) -> None:
        self.settle(mode)
        self.clock.advance(600)
        _, client = self.portal.run(mode, [])
        assert not {"batch/upsert", "batch/update", "merge"} & {*client.asked}, client.asked
        self.look_at_the_records(mode)

    def look_at_the_records(self, mode: Mode) -> None:
        visitors = merge_all({}, self.portal.rows)
        with self.portal.state() as store, store.reading() as state:
            keys = {key_of(each) for each in visitors.values()}
            found = state.entries.by_key(keys)
        links, unclear = self.links()
        people: defaultdict[str, list[Visitor]] = defaultdict(list)
        for each in visitors.values():
            record = self.target(each, links, found, mode)
            if each.id in unclear:
                known = found.get(key_of(each))
                unclear |= {self.hubspot.store.successor(str(known.record))} if known else set()
            elif record in self.hubspot.contacts:
                people[str(record)].append(each)
        for record, members in people.items():
            if record not in unclear:
                self.look_at_a_record(record, members)

    def look_at_a_record(self, record: str, members: list[Visitor]) -> None:
        held = self.hubspot.contacts[record]
        seen = max(each.last_seen for each in members)
        expected = {"zenovay_last_seen": instant_text(seen)}
        views = [each.facts["pageviews"] for each in members if "pageviews" in each.facts]
        if views:
            expected["zenovay_pageviews"] = str(sum(map(int, views)))
        stated = [each for each in members if "country" in each.facts]
        if stated:
            latest = max(each.last_seen for each in stated)
            code = min(str(each.facts["country"]) for each in stated if each.last_seen == latest)
            expected["country"] = COUNTRY_NAMES[code]
        missing = expected.items() - held.items()
        assert not missing, (record, [each.id for each in members], missing, held)

    def target(
        self,
        visitor: Visitor,
        links: dict[str, str],
        found: dict[ContactKey, LedgerEntry],
        mode: Mode,
    ) -> str | None:
        """The record that should hold what the visitor did; None where that is not defined."""
        if visitor.id in links:
            return links[visitor.id]
        if visitor.email is None and mode.anonymous == "skip":
            return None
        key = key_of(visitor)
        store = self.hubspot.store
        entry = found.get(key)
        if entry and entry.blocked:
            return None
        if entry and entry.record:
            return store.successor(entry.record)
        now = store.find("email" if key.kind is EMAIL else OURS, key.value)
        assert now is None, (key, now)
        assert (mode.known if visitor.email else mode.anonymous) == "match", key
        return None

    def links(self) -> tuple[dict[str, str], set[str]]:
        """The record of each visitor that has a link; visitors and records of whom that is not defined.

        As where a record in the recycle bin has, or had, its id: what was changed before may not be known.
        """
        store = self.hubspot.store
        links: defaultdict[str, list[tuple[datetime, int]]] = defaultdict(list)
        for record in [*store.by_id, *store.recycle_bin]:
            named = set()
            for entry in versions(store.histories.get(record, ()), LINK):
                if not entry["value"]:
                    if record in store.by_id:
                        break
                    continue
                if entry["value"] not in named:
                    links[entry["value"]].append((datetime.fromisoformat(entry["timestamp"]), int(record)))
                    named.add(entry["value"])
        unclear = set()
        for visitor_id, its in links.items():
            if any(str(record) in store.recycle_bin for _, record in its):
                unclear |= {visitor_id, *(str(record) for _, record in its)}
        return {visitor_id: str(max(its)[1]) for visitor_id, its in links.items()}, unclear

    def teardown(self) -> None:
        try:
            self.the_dust_settles(Mode("upsert", "upsert", merge=False))
        finally:
            self.portal.close()


def key_of(visitor: Visitor) -> ContactKey:
    return ContactKey(EMAIL, visitor.email) if visitor.email else ContactKey(VISITOR, visitor.id)


def test_whoever_a_visitor_is_the_right_record_has_it_all() -> None:
    few = settings(max_examples=settings().max_examples // 4, stateful_step_count=10)
    with patch.multiple("etl.pipeline.backlog", BATCH=2, _AHEAD=4, _MOST_AHEAD=6, _PAGE=3):
        run_state_machine_as_test(Records, settings=few)
