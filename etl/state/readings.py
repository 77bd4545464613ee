"""What was read of the traffic of websites, for reports and alerts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import BigInteger, and_, delete, exists, or_, select, true, type_coerce, update

from etl.instants import instant, microseconds
from etl.models.traffic import CountryVisitors, Traffic, TrafficDay, TrafficReading
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, overwritten, value

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Delete, Select

    from etl.state.statements import Row, Statements

KEPT = timedelta(days=400)
CLOSE = timedelta(days=2)
"""For so long every reading is kept, later one a day."""

_DAY_US = timedelta(days=1) // timedelta(microseconds=1)
_T, _C = tables.readings, tables.readings.c
_MINE = and_(_C.website == value("of_website"), _C.range == value("of_range"))
_SHOWN = (_C.website, _C.range, _C.at, _C.traffic)


def _latest(*conditions: Any) -> Select[Row]:
    return select(*_SHOWN).where(_MINE, *conditions).order_by(_C.at.desc()).limit(1)


def _day_of(at: ColumnElement[datetime]) -> ColumnElement[int]:
    return type_coerce(at, BigInteger) // _DAY_US


def _thinned(_: str) -> Delete:
    """Of what is older than ``close``, the first of each day is kept, and what was reported."""
    earlier = tables.readings.alias()
    is_later = exists().where(
        earlier.c.website == _C.website,
        earlier.c.range == _C.range,
        earlier.c.at < _C.at,
        _day_of(earlier.c.at) == _day_of(_C.at),
    )
    return delete(_T).where(
        _MINE, or_(_C.at < value("kept"), and_(_C.at < value("close"), _C.reported.is_(False), is_later))
    )


_ADD = Insertion(_T, "website", "range", "at", "traffic")
_LAST = Prepared(lambda _: _latest(_C.at <= value("until")))
_REPORTED = Prepared(lambda _: _latest(_C.at < value("until"), _C.reported == true()))
_AFTER = Prepared(lambda _: select(*_SHOWN).where(_MINE, _C.at >= value("since")).order_by(_C.at).limit(1))
_MARK = Prepared(lambda _: update(_T).values(overwritten("reported")).where(_MINE, _C.at == value("read_at")))
_THIN = Prepared(_thinned)


class Readings:
    """The readings, inside one transaction. Instants are of our clock."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def add(self, reading: TrafficReading) -> None:
        """Keep a reading, and of older ones fewer."""
        at, mine = microseconds(reading.at), _names(reading.website, reading.range)
        text = orjson.dumps(asdict(reading.traffic)).decode()
        self._statements.add(_ADD, reading.website, reading.range, at, text)
        kept, close = microseconds(reading.at - KEPT), microseconds(reading.at - CLOSE)
        self._statements.change(_THIN, kept=kept, close=close, **mine)

    def last(self, website: str, range_: str, *, until: datetime) -> TrafficReading | None:
        """The last that was taken by ``until``."""
        return self._row(_LAST, website, range_, until=until)

    def last_reported(self, website: str, range_: str, *, before: datetime) -> TrafficReading | None:
        """The last from before ``before`` of which a report was made."""
        return self._row(_REPORTED, website, range_, until=before)

    def first_after(self, website: str, range_: str, since: datetime) -> TrafficReading | None:
        """The first that was taken at ``since`` or later."""
        return self._row(_AFTER, website, range_, since=since)

    def mark_reported(self, website: str, range_: str, at: datetime) -> None:
        """A report was made of the reading of that instant."""
        mine = _names(website, range_)
        self._statements.change(_MARK, new_reported=True, read_at=microseconds(at), **mine)

    def _row(
        self, statement: Prepared, website: str, range_: str, **instants: datetime
    ) -> TrafficReading | None:
        limits = {name: microseconds(each) for name, each in instants.items()}
        row = self._statements.row(statement, **_names(website, range_), **limits)
        return _reading(row) if row else None


def _names(website: str, range_: str) -> dict[str, str]:
    return {"of_website": website, "of_range": range_}


@of_a_row
def _reading(row: Row) -> TrafficReading:
    website, range_, at, text = row
    found = orjson.loads(text)
    countries = tuple(CountryVisitors(**each) for each in found.pop("countries"))
    days = tuple(_day(each) for each in found.pop("days"))
    return TrafficReading(website, range_, instant(at), Traffic(**found, countries=countries, days=days))


def _day(stored: dict[str, Any]) -> TrafficDay:
    return TrafficDay(**{**stored, "day": date.fromisoformat(stored["day"])})
