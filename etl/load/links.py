"""Links: which records carry the id of a visitor, learnt from HubSpot's search and from its history.

https://developers.hubspot.com/docs/api/crm/search: at most 200 results a page and 10,000 a query, five
requests a second for a whole account, and an index that lags by seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.errors import ContractBrokenError
from etl.instants import microseconds
from etl.kinds import NOTHING
from etl.load.complaints import Complaint, listed
from etl.load.lookup import instant_in, read_contacts, results_or_complaint
from etl.load.statuses import READ_SCOPE
from etl.load.verdicts import keys_in, properties_in, record_in
from etl.models.clocks import FAR
from etl.models.contact import RECORD_ID
from etl.models.link import Link, LinkedRecord, LinkPage, ShownRecord
from etl.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from etl.clock import Clock
    from etl.load.client import HubSpotClient
    from etl.load.setup_check import SetupCheck
    from etl.network.reply import Reply

LAG = timedelta(minutes=2)
"""What was changed so recently may be missing from the index."""

_MODIFIED = "lastmodifieddate"
_PAGE = 200
_HISTORY_AT_ONCE = 50
SEARCHES_A_SECOND = 4
_LONGEST_ID = 512
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class _Shown(NamedTuple):
    """A page of the search, HubSpot's clock beside it, and whether there is more than the page holds."""

    records: tuple[ShownRecord, ...]
    date: datetime | None
    has_more: bool


class HubSpotLinks:
    """Reads the property that a form fills with the id of a visitor. ``visitor_id`` is that of our own."""

    def __init__(
        self, client: HubSpotClient, setup: SetupCheck, *, property_name: str, visitor_id: str, clock: Clock
    ) -> None:
        self.property_name = property_name
        self._client = client
        self._setup = setup
        self._visitor_id = visitor_id
        self._clock = clock
        self._pace = client.search or Pace(
            limit=SEARCHES_A_SECOND, window_s=1.0, clock=clock, name="HubSpot's search"
        )

    def changed(self, read_to: datetime | None, *, watched: Sequence[str] = ()) -> Iterator[LinkPage]:
        """Records with a link that changed since ``read_to`` (None: all), and ``watched`` ones without.

        One page at least, in the order of their changes, each beginning with what the one before ended with:
        so neither the index's lag, nor what changes meanwhile, nor ever so many changes lose one.
        Raises SyncError.
        """
        self._setup.before_first()
        since = read_to - LAG if read_to else _BEGINNING
        began, page = self._clock.now(), self._search(self._since(since), lost=watched)
        while page.has_more:
            yield LinkPage(page.records, _latest(page, now=self._clock.now()))
            last = page.records[-1].modified if page.records else _BEGINNING
            if last < since:
                raise _out_of_order()
            if last == since:
                yield from self._of_oneinstant_in(last)
                last += timedelta(milliseconds=1)
            since, began = last, self._clock.now()
            page = self._search(self._since(since))
        yield LinkPage(page.records, _caught_up(page, began=began))

    def _of_oneinstant_in(self, instant: datetime) -> Iterator[LinkPage]:
        """All records that changed at one instant, which are more than a page holds."""
        after = 0
        while True:
            at = {"propertyName": _MODIFIED, "operator": "EQ", "value": _milliseconds(instant)}
            behind = {"propertyName": RECORD_ID, "operator": "GT", "value": str(after)}
            page = self._search([at, behind], sort=RECORD_ID)
            yield LinkPage(page.records, None)
            if not page.has_more:
                return
            last = max((int(each.record) for each in page.records if each.record.isdigit()), default=0)
            if last <= after:
                raise _out_of_order()
            after = last

    def _since(self, instant: datetime) -> list[dict[str, Any]]:
        return [{"propertyName": _MODIFIED, "operator": "GTE", "value": _milliseconds(instant)}]

    def _search(
        self, filters: list[dict[str, Any]], *, sort: str = _MODIFIED, lost: Sequence[str] = ()
    ) -> _Shown:
        has = {"propertyName": self.property_name, "operator": "HAS_PROPERTY"}
        groups = [{"filters": [*filters, has]}]
        if lost:
            among = {"propertyName": RECORD_ID, "operator": "IN", "values": list(lost)}
            without = {"propertyName": self.property_name, "operator": "NOT_HAS_PROPERTY"}
            groups.append({"filters": [among, without]})
        with self._pace.slot():
            answer = self._client.send(
                "POST",
                f"{self._client.contacts_path}/search",
                body={
                    "filterGroups": groups,
                    "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],
                    "limit": _PAGE,
                    "after": "0",
                    "properties": [self.property_name, _MODIFIED],
                },
                read=_answer,
                expects=frozenset({HTTPStatus.BAD_REQUEST}),
                where="HubSpot search",
                scope=READ_SCOPE,
            )
        body, date = self._setup.believed(answer)
        shown = (self._shown(each) for each in listed(body.get("results")))
        return _Shown(tuple(each for each in shown if each is not None), date, _has_more(body))

    def _shown(self, result: Any) -> ShownRecord | None:
        record = record_in(result) if isinstance(result, dict) else None
        if record is None:
            return None
        properties = properties_in(result)
        modified = instant_in(properties.get(_MODIFIED)) or instant_in(result.get("updatedAt")) or _BEGINNING
        value = properties.get(self.property_name)
        return ShownRecord(record, value if isinstance(value, str) and value.strip() else None, modified)

    def history(self, shown: Sequence[ShownRecord]) -> list[LinkedRecord]:
        """All links of these records, the earlier ones too, under the ids that they have now."""
        found: list[LinkedRecord] = []
        for start in range(0, len(shown), _HISTORY_AT_ONCE):
            part = shown[start : start + _HISTORY_AT_ONCE]
            answer = read_contacts(
                self._client,
                RECORD_ID,
                [each.record for each in part],
                properties=[self.property_name, self._visitor_id],
                with_history=[self.property_name],
            )
            modified = {each.record: each.modified for each in part}
            for result in listed(self._setup.believed(answer).get("results")):
                record = record_in(result) if isinstance(result, dict) else None
                if record is not None:
                    found.append(self._linked(record, result, modified.get(record)))
        return found

    def _linked(self, record: str, result: Mapping[str, Any], modified: datetime | None) -> LinkedRecord:
        histories = result.get("propertiesWithHistory")
        entries = listed(histories.get(self.property_name)) if isinstance(histories, dict) else []
        stated = [
            (entry.get("value"), instant_in(entry.get("timestamp")))
            for entry in entries
            if isinstance(entry, dict)
        ]
        if not stated:
            stated = [(properties_in(result).get(self.property_name), modified)]
        latest: dict[str, datetime] = {}
        for value, at in sorted(stated, key=lambda each: each[1] or _BEGINNING, reverse=True):
            if not isinstance(value, str) or not value.strip():
                break  # it was taken away then: what was there before counts no more
            visitor_id = value.strip()
            if _is_meant(visitor_id):
                latest.setdefault(visitor_id, at or modified or _BEGINNING)
        links = tuple(Link(visitor_id, record, at) for visitor_id, at in latest.items())
        return LinkedRecord(record, links, tuple(keys_in(result, self._visitor_id)))


def _is_meant(visitor_id: str) -> bool:
    """Whether the text can be the id of a visitor, and none of the words for nothing."""
    return visitor_id.isprintable() and len(visitor_id) <= _LONGEST_ID and visitor_id.lower() not in NOTHING


def _has_more(body: Mapping[str, Any]) -> bool:
    """HubSpot may give less on a page than was asked for."""
    paging = body.get("paging")
    is_going_on = isinstance(paging, dict) and bool(paging.get("next"))
    return bool(listed(body.get("results"))) and (is_going_on or len(listed(body["results"])) >= _PAGE)


def _latest(page: _Shown, *, now: datetime) -> datetime | None:
    """The latest change on a page; one that is far ahead of our clock is not believed."""
    changes = [each.modified for each in page.records if each.value and each.modified <= now + FAR]
    return max(changes, default=None)


def _caught_up(page: _Shown, *, began: datetime) -> datetime | None:
    """Up to when the last page shows all changes: when it was asked for, if both clocks agree on that."""
    agree = page.date is not None and abs(page.date - began) < LAG / 2
    at = min(page.date, began) if page.date and agree else None
    return max(filter(None, (at, _latest(page, now=began))), default=None)


def _answer(reply: Reply) -> tuple[Mapping[str, Any], datetime | None] | Complaint:
    answer = results_or_complaint(reply)
    return answer if isinstance(answer, Complaint) else (answer, reply.date)


def _out_of_order() -> ContractBrokenError:
    return ContractBrokenError(
        "HubSpot's search does not answer in the order that was asked for, so that links would be missed.",
        fix="Nothing is lost: what was read stays. Run again; if it lasts, unset SYNC_LINK_PROPERTY.",
    )


def _milliseconds(instant: datetime) -> str:
    return str(microseconds(instant) // 1000)
