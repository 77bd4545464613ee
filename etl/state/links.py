"""The links table: which visitor belongs to which record, as HubSpot says."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from etl.instants import instant, microseconds
from etl.models.link import Link
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, among, value

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Select

    from etl.state.notebook import Notebook
    from etl.state.statements import Row, Statements

_READ_TO = "links_read_to"
_PROPERTY = "links_property"
_WATCHED = "links_watched"

_T, _C = tables.links, tables.links.c
_LINK = (_C.visitor_id, _C.record, _C.since)


def _watched() -> Select[Row]:
    return select(_C.record).distinct().where(_C.record > value("after")).order_by(_C.record)


_OF_VISITORS = Prepared(lambda dialect: select(*_LINK).where(among(_C.visitor_id, dialect)))
_OF_RECORDS = Prepared(lambda dialect: select(*_LINK).where(among(_C.record, dialect)))
_NEXT = Prepared(lambda _: _watched().limit(value("most")))
_ADD = Insertion(_T, "visitor_id", "record", "since")
_DROP_RECORDS = Prepared(lambda dialect: delete(_T).where(among(_C.record, dialect)))
_DROP_VISITORS = Prepared(lambda dialect: delete(_T).where(among(_C.visitor_id, dialect)))


class Links:
    """Links of one portal, inside one transaction."""

    def __init__(self, statements: Statements, notebook: Notebook) -> None:
        self._statements = statements
        self._notebook = notebook

    def of_visitors(self, visitor_ids: Collection[str]) -> list[Link]:
        """All links of these visitors."""
        return list(map(_link, self._statements.among(_OF_VISITORS, visitor_ids)))

    def of(self, visitor_ids: Collection[str]) -> dict[str, str]:
        """The record of each visitor that has one: the one that got the id last; of two, the newer record."""
        best: dict[str, Link] = {}
        for link in self.of_visitors(visitor_ids):
            rival = best.get(link.visitor_id)
            if rival is None or _beats(link, rival):
                best[link.visitor_id] = link
        return {visitor_id: link.record for visitor_id, link in best.items()}

    def of_records(self, records: Collection[str]) -> dict[str, list[Link]]:
        """The links of each of these records that has some."""
        found: defaultdict[str, list[Link]] = defaultdict(list)
        for link in map(_link, self._statements.among(_OF_RECORDS, records)):
            found[link.record].append(link)
        return found

    def replace(self, records: Collection[str], links: Collection[Link]) -> None:
        """``links`` are all that these records have."""
        self._statements.change_among(_DROP_RECORDS, records)
        self._statements.add_many(
            _ADD, [(each.visitor_id, each.record, microseconds(each.since)) for each in links]
        )

    def rename(self, old: str, record: str) -> None:
        """A record is to be found under another id."""
        both = self.of_records({old, record})
        if old not in both:
            return
        latest: dict[str, Link] = {}
        for link in (*both[old], *both.get(record, ())):
            known = latest.get(link.visitor_id)
            if known is None or link.since > known.since:
                latest[link.visitor_id] = link._replace(record=record)
        self.replace({old, record}, latest.values())

    def erase(self, visitor_ids: Collection[str], records: Collection[str]) -> None:
        """Erase all links of these visitors and of these records."""
        self._statements.change_among(_DROP_VISITORS, visitor_ids)
        self._statements.change_among(_DROP_RECORDS, records)
        if self._notebook.get(_WATCHED) in records:
            self._notebook.drop(_WATCHED)

    def read_to(self, property_name: str) -> datetime | None:
        """Up to when HubSpot's changes of the property are read, by its clock; None: not at all."""
        if self._notebook.get(_PROPERTY) != property_name:
            return None
        return self._notebook.instant(_READ_TO)

    def note(self, property_name: str, read_to: datetime) -> None:
        """Changes of the property are read up to then."""
        self._notebook.put(_PROPERTY, property_name)
        self._notebook.put(_READ_TO, read_to.isoformat())

    def begin_anew(self) -> None:
        """This is another portal: nothing was read there."""
        self._notebook.drop(_READ_TO)

    def watched(self, most: int) -> Sequence[str]:
        """The next ``most`` records with links, in turn from call to call."""
        after = self._notebook.get(_WATCHED) or ""
        found = [record for (record,) in self._statements.rows(_NEXT, after=after, most=most)]
        if after and len(found) < most:
            found += [record for (record,) in self._statements.rows(_NEXT, after="", most=most - len(found))]
        return list(dict.fromkeys(found))

    def looked_at(self, records: Sequence[str]) -> None:
        """These were the last that were watched."""
        if records:
            self._notebook.put(_WATCHED, records[-1])


@of_a_row
def _link(row: Row) -> Link:
    visitor_id, record, since = row
    if not (isinstance(visitor_id, str) and isinstance(record, str)):
        raise TypeError
    return Link(visitor_id, record, instant(since))


def _beats(one: Link, other: Link) -> bool:
    return (one.since, len(one.record), one.record) > (other.since, len(other.record), other.record)
