"""Websites, what was found out about them, and the history of runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from etl.instants import instant, instant_or_none, microseconds
from etl.models.clocks import FAR
from etl.models.reading import Answered, KnownWebsite
from etl.models.summary import Failing, PastRun, Status, SyncedDay
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, new, overwritten, value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import ScalarSelect

    from etl.state.held import Held
    from etl.state.statements import Row, Statements

KEPT_RUNS = 1000
"""Per website; older ones are forgotten."""

KEPT_DAYS = timedelta(days=400)
"""So long the counts of a day are kept."""

Counts = dict[str, int]

_COUNTED_RUNS = 300
"""A day of runs every five minutes, and so the daily sweep among them."""

_W, _R, _D = tables.websites.c, tables.runs.c, tables.days.c
_OF_WEBSITE = tables.runs.join(tables.websites, _W.id == _R.website_id)
_IS_NAMED, _IS_ITS_ID = _W.name == value("named"), _W.id == value("website_id")
_IS_ITS_OWN = _R.website_id == value("website_id")
_IS_INCREMENTAL = _R.kind == "incremental"
_ENDED_WELL = and_(_IS_INCREMENTAL, or_(_R.status == Status.DONE.value, _R.status == Status.PARTIAL.value))
_LATEST_FIRST = _R.started.desc()
_KNOWN = (_W.name, _W.id, _W.watermark, _W.swept, _W.newest_first, _W.read_at)
_FOUND_OUT = ("watermark", "swept", "newest_first", "read_at")
_SET_BACK = ("watermark", "swept", "read_at")


def _overwrite(names: Sequence[str]) -> Prepared:
    """An UPDATE of these columns of a website."""
    return Prepared(lambda _: update(tables.websites).values(overwritten(*names)).where(_IS_ITS_ID))


def _oldest_kept() -> ScalarSelect[Any]:
    latest = select(_R.started).where(_IS_ITS_OWN).order_by(_LATEST_FIRST)
    return latest.limit(1).offset(value("kept")).correlate(None).scalar_subquery()


_WEBSITES = Prepared(lambda _: select(*_KNOWN).order_by(_W.name))
_WEBSITE = Prepared(lambda _: select(*_KNOWN).where(_IS_NAMED))
_ADD_WEBSITE = Prepared(lambda _: insert(tables.websites).values(name=value("named")).returning(_W.id))
_CLOSE_WINDOW, _SET_RIGHT = _overwrite(_FOUND_OUT), _overwrite(_SET_BACK)
_WATERMARK = Prepared(lambda _: select(_W.watermark).where(_IS_ITS_ID))
_BEGUN = ("id", "website_id", "kind", "started")
_NEXT_NUMBER = func.coalesce(func.max(_R.number), 0) + 1
_BEGIN = Prepared(
    lambda _: insert(tables.runs).from_select(
        [*_BEGUN, "number"],
        select(*(bindparam(new(name), type_=_R[name].type) for name in _BEGUN), _NEXT_NUMBER),
    )
)
_END = Prepared(
    lambda _: (
        update(tables.runs)
        .values(overwritten("ended", "status", "summary"))
        .where(_R.id == value("run"))
        .returning(_R.website_id)
    )
)
_FORGET = Prepared(
    lambda _: (
        delete(tables.runs)
        .where(_IS_ITS_OWN, _R.started <= _oldest_kept(), _R.started < value("kept_since"))
        .returning(_R.website_id, _R.started, _R.summary)
    )
)
_COUNTED = ("created", "updated", "rejected", "requests")
_IS_ITS_DAY = and_(_D.website_id == value("website_id"), _D.day == value("day"))
_ADD_TO_DAY = Prepared(
    lambda _: (
        update(tables.days)
        .values({name: _D[name] + given for name, given in overwritten(*_COUNTED).items()})
        .where(_IS_ITS_DAY)
    )
)
_BEGIN_DAY = Insertion(tables.days, "website_id", "day", *_COUNTED)
_FORGET_DAYS = Prepared(lambda _: delete(tables.days).where(_D.day < value("before")))
_DAYS = Prepared(lambda _: select(_D.day, *(_D[name] for name in _COUNTED)).where(_D.day >= value("since")))
_SUMMARIES_SINCE = Prepared(
    lambda _: (
        select(_R.started, _R.status, _R.summary).where(_R.started >= value("since")).order_by(_LATEST_FIRST)
    )
)
_LAST_ENDED = Prepared(lambda _: select(_R.ended).order_by(_LATEST_FIRST).limit(1))
_ENDED = Prepared(
    lambda _: select(func.max(_R.ended)).where(_IS_ITS_OWN, _R.started == value("started")),
)
_LAST_SUCCESS = Prepared(
    lambda _: (
        select(_R.started)
        .select_from(_OF_WEBSITE)
        .where(_IS_NAMED, _ENDED_WELL, _R.started <= value("now"))
        .order_by(_LATEST_FIRST)
        .limit(1)
    ),
)
_SUCCESSES = Prepared(
    lambda _: (
        select(_R.started, _R.summary)
        .where(_IS_ITS_OWN, _ENDED_WELL, _R.started <= value("now"))
        .order_by(_LATEST_FIRST)
    ),
)
_SINCE = Prepared(
    lambda _: (
        select(_R.started, _R.ended, _R.summary)
        .select_from(_OF_WEBSITE)
        .where(_IS_NAMED, _IS_INCREMENTAL, _R.started > value("after"), _R.started <= value("now"))
        .order_by(_LATEST_FIRST)
    ),
)
_LAST_STARTED = Prepared(
    lambda _: (
        select(func.max(_R.started))
        .select_from(_OF_WEBSITE)
        .where(_IS_NAMED, _IS_INCREMENTAL, _R.started <= value("now"))
    ),
)
_LAST_ANSWERS = Prepared(
    lambda _: (
        select(_R.summary)
        .where(_IS_ITS_OWN, _IS_INCREMENTAL, _R.summary.is_not(None))
        .order_by(_LATEST_FIRST)
    ),
)
_LAST = Prepared(
    lambda _: (
        select(_R.id, _R.kind, _R.started, _R.ended, _R.status, _R.summary)
        .select_from(_OF_WEBSITE)
        .where(_IS_NAMED)
        .order_by(_LATEST_FIRST)
        .limit(value("most"))
    ),
)
_NAMED = Prepared(
    lambda _: (
        select(_R.id, _R.kind, _W.name, _R.started, _R.number, _R.summary)
        .select_from(_OF_WEBSITE)
        .where(func.substr(_R.id, 1, value("length")) == value("prefix"))
        .order_by(_LATEST_FIRST)
        .limit(value("most"))
    ),
)
_HAS_ENDED = and_(_IS_NAMED, _IS_INCREMENTAL, _R.summary.is_not(None))
_COUNT = Prepared(lambda _: select(func.count()).select_from(_OF_WEBSITE).where(_HAS_ENDED))
_SUMMARIES = Prepared(
    lambda _: (
        select(_R.started, _R.summary)
        .select_from(_OF_WEBSITE)
        .where(_HAS_ENDED)
        .order_by(_LATEST_FIRST)
        .limit(value("most"))
    ),
)


class Runs:
    """The history, inside one transaction. What is ``held`` of websites is not read again."""

    def __init__(self, statements: Statements, held: Held | None = None) -> None:
        self._statements = statements
        self._held = held

    def website(self, name: str) -> KnownWebsite:
        """What is known of a website; its row is made if need be."""
        found = self.known_website(name)
        if found:
            return found
        made = self._hold(name, KnownWebsite(self._statements.value(_ADD_WEBSITE, named=name)))
        if self._held:
            self._held.renew(made)
        return made

    def known_website(self, name: str) -> KnownWebsite | None:
        """What is known of a website, if it is known at all."""
        if self._held and (held := self._held.websites.get(name)):
            return held
        row = self._statements.row(_WEBSITE, named=name)
        return self._hold(name, _website(row)) if row else None

    def _hold(self, name: str, website: KnownWebsite) -> KnownWebsite:
        if self._held:
            self._held.websites[name] = website
        return website

    def watermark(self, name: str) -> datetime | None:
        """The watermark of a website, known or not."""
        known = self.known_website(name)
        return known.watermark if known else None

    def websites(self) -> dict[str, KnownWebsite]:
        """Every website that the state knows, by name."""
        return {name: _website((name, *known)) for name, *known in self._statements.rows(_WEBSITES)}

    def set_right(self, website: KnownWebsite, *, now: datetime) -> KnownWebsite:
        """``website`` without instants that no clock can have shown by ``now``, ours; that is written down.

        A watermark far in the future goes back to the start of the last successful run before now.
        """
        sound = replace(
            website,
            watermark=_by(now + FAR, website.watermark),
            swept=_by(now + FAR, website.swept),
            read_at=_by(now, website.read_at),
        )
        if sound.watermark != website.watermark:
            sound = replace(sound, watermark=sound.read_at or self._last_read(website.id, now=now))
        if sound != website:
            self._write(_SET_RIGHT, _SET_BACK, sound)
        return sound

    def _last_read(self, website_id: int, *, now: datetime) -> datetime | None:
        """Up to when everything was read by the last run that did not take the watermark into the future."""
        for began, summary in self._statements.rows(_SUCCESSES, website_id=website_id, now=microseconds(now)):
            started, watermark = instant(began), _watermark_of(summary)
            if watermark and watermark <= started + FAR:
                return min(started, watermark)
        return None

    def close_window(self, website: KnownWebsite) -> KnownWebsite:
        """Write down what a reading has found out, and return it; the watermark never moves back."""
        before = self._watermark(website.id)
        if before is not None and (website.watermark is None or website.watermark < before):
            website = replace(website, watermark=before)
        self._write(_CLOSE_WINDOW, _FOUND_OUT, website)
        return website

    def _watermark(self, website_id: int) -> datetime | None:
        for held in self._held.websites.values() if self._held else ():
            if held.id == website_id:
                return held.watermark
        return _instant(self._statements.value(_WATERMARK, website_id=website_id))

    def _write(self, statement: Prepared, names: Sequence[str], website: KnownWebsite) -> None:
        found = {name: getattr(website, name) for name in names}
        values = {
            new(name): microseconds(each) if isinstance(each, datetime) else each
            for name, each in found.items()
        }
        self._statements.change(statement, website_id=website.id, **values)
        if self._held:
            self._held.renew(website)

    def begin(self, run: str, website_id: int, kind: str, started: datetime) -> None:
        begun = (run, website_id, kind, microseconds(started))
        self._statements.change(_BEGIN, **{new(name): each for name, each in zip(_BEGUN, begun, strict=True)})

    def end(self, run: str, ended: datetime, summary: dict[str, Any], *, kept_since: datetime) -> None:
        """Write down how a run ended, and forget the oldest ones; none that was started ``kept_since``."""
        website_id = self._statements.value(
            _END,
            run=run,
            new_ended=microseconds(ended),
            new_status=summary["status"],
            new_summary=orjson.dumps(summary).decode(),
        )
        since = microseconds(kept_since)
        for forgotten in self._statements.rows(
            _FORGET, website_id=website_id, kept=KEPT_RUNS, kept_since=since
        ):
            self._keep_counts(website_id, *_counts(forgotten[1:]))
            self._statements.change(_FORGET_DAYS, before=microseconds(ended - KEPT_DAYS))

    def _keep_counts(self, website_id: int, day: datetime, counts: Counts) -> None:
        """What a run did that is forgotten is added to its day."""
        on, added = microseconds(day), {new(name): counts[name] for name in _COUNTED}
        if self._statements.change(_ADD_TO_DAY, website_id=website_id, day=on, **added) == 0:
            self._statements.add(_BEGIN_DAY, website_id, on, *(counts[name] for name in _COUNTED))

    def since(self, instant: datetime) -> Iterator[tuple[str | None, dict[str, Any]]]:
        """Status and summary of the runs from then on, latest first; of a killed one None and {}."""
        for _, status, summary in self._statements.rows(_SUMMARIES_SINCE, since=microseconds(instant)):
            yield status, _summary_or_none(summary) or {}

    def days(self, since: datetime) -> list[SyncedDay]:
        """What was done on each day (UTC) with a run, from that of ``since`` on; oldest first."""
        first = _day(since)
        total: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
        for begun, *counts in self._statements.rows(_DAYS, since=microseconds(first)):
            total[instant(begun)].update(dict(zip(_COUNTED, counts, strict=True)))
        for started, _, summary in self._statements.rows(_SUMMARIES_SINCE, since=microseconds(first)):
            day, found = _counts((started, summary))
            total[day].update(found)
        return [SyncedDay(day=day.date(), **total[day]) for day in sorted(total)]

    def last_is_open(self) -> bool:
        """Whether the run that was begun last did not come to its end, or goes on."""
        last = self._statements.row(_LAST_ENDED)
        return last is not None and last == (None,)

    def ended(self, website_id: int, started: datetime) -> datetime | None:
        """When the run ended that was ``started`` then; None where it was killed, or is forgotten."""
        return _instant(self._statements.value(_ENDED, website_id=website_id, started=microseconds(started)))

    def last_success(self, website: str, *, now: datetime) -> datetime | None:
        """When the last incremental run before ``now`` that ended done or partial was started."""
        return _instant(self._statements.value(_LAST_SUCCESS, named=website, now=microseconds(now)))

    def last_started(self, website: str, *, now: datetime) -> datetime | None:
        """When the last incremental run before ``now`` was started, however it ended."""
        return _instant(self._statements.value(_LAST_STARTED, named=website, now=microseconds(now)))

    def failing(self, website: str, *, now: datetime, going_on: bool) -> Failing | None:
        """What the incremental runs since the last good one have in common; None where that was the last.

        ``going_on`` says that the last one may not have come to its end yet.
        """
        good = self.last_success(website, now=now)
        after = microseconds(good) if good else -1
        rows = list(self._statements.rows(_SINCE, named=website, after=after, now=microseconds(now)))
        if rows and going_on and rows[0][1] is None:
            del rows[0]
        return _failing(rows) if rows else None

    def last(self, website: str, most: int) -> list[dict[str, Any]]:
        """The summaries of the last runs of a website, latest first. A killed run has the status null."""
        return [_told(row) for row in self._statements.rows(_LAST, named=website, most=most)]

    def named(self, prefix: str, *, most: int = 2) -> list[PastRun]:
        """The runs whose ids begin so, latest first."""
        return [
            _past(row) for row in self._statements.rows(_NAMED, prefix=prefix, length=len(prefix), most=most)
        ]

    def last_answer(self, website_id: int, ranges: Collection[str]) -> Answered | None:
        """What the last incremental run was answered that read one of ``ranges``; the last, if degraded."""
        for answered in self._answers(website_id):
            if answered.degraded or answered.range in ranges:
                return answered
        return None

    def degraded(self, website_id: int) -> tuple[datetime, str] | None:
        """Since when answers are not believed, and why; None where the last one was."""
        refused = list(takewhile(lambda answered: answered.degraded, self._answers(website_id)))
        return (refused[-1].at, str(refused[0].degraded)) if refused else None

    def _answers(self, website_id: int) -> Iterator[Answered]:
        """What the last incremental runs were answered, latest first, those aside that got no answer."""
        return filter(None, map(_answered, self._statements.rows(_LAST_ANSWERS, website_id=website_id)))

    def count(self, website: str) -> int:
        """How many incremental runs of the website have ended, of those that are kept."""
        return int(self._statements.value(_COUNT, named=website))

    def requests(self, website: str, *, ahead: timedelta) -> list[tuple[datetime, int]]:
        """When the last incremental runs were started, latest last, and what they asked of the source.

        By the source's clock, which is ``ahead`` of ours where a run did not come so far as to see it.
        """
        rows = self._statements.rows(_SUMMARIES, named=website, most=_COUNTED_RUNS)
        return [_cost(row, ahead) for row in rows][::-1]


_instant = of_a_row(instant_or_none)


def _day(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


@of_a_row
def _counts(row: Row) -> tuple[datetime, Counts]:
    """The day of a run, and what it did."""
    started, text = row
    summary = _summary(text) if text else {}
    contacts, requests = summary.get("contacts", {}), summary.get("requests", {})
    counts = {name: int(contacts.get(name, 0)) for name in _COUNTED[:-1]}
    return _day(instant(started)), {**counts, "requests": int(requests.get("zenovay", 0))}


@of_a_row
def _summary_or_none(text: str | None) -> dict[str, Any] | None:
    return _summary(text) if text else None


@of_a_row
def _told(row: Row) -> dict[str, Any]:
    run, kind, started, ended, status, summary = row
    return {
        **(_summary(summary) if summary else {"run": run, "kind": kind}),
        "status": status,
        "started": instant(started),
        "ended": instant_or_none(ended),
    }


@of_a_row
def _failing(rows: Sequence[Row]) -> Failing:
    """``rows`` are the latest first."""
    summary = _summary(rows[0][2]) if rows[0][2] else {}
    return Failing(instant(rows[-1][0]), len(rows), summary.get("exit_code"), summary.get("reason"))


@of_a_row
def _past(row: Row) -> PastRun:
    run, kind, website, started, number, text = row
    contacts = (_summary(text) if text else {}).get("contacts", {})
    did = sum(int(contacts.get(name, 0)) for name in ("created", "updated"))
    return PastRun(run, kind, website, instant(started), number, did)


@of_a_row
def _cost(row: Row, ahead: timedelta) -> tuple[datetime, int]:
    started, text = row
    summary = _summary(text)
    return _at_source(summary) or instant(started) + ahead, int(summary["requests"]["zenovay"])


@of_a_row
def _answered(row: Row) -> Answered | None:
    """None for a run that neither read a row, nor moved the watermark, nor says why it did not."""
    (text,) = row
    summary = _summary(text)
    watermark, rows, degraded = summary["watermark"], summary["rows"]["read"], summary.get("degraded")
    at = _at_source(summary)
    if at is None or not (rows or degraded or watermark["after"] != watermark["before"]):
        return None
    return Answered(at, summary["window"]["range"], rows, degraded)


def _summary(text: str) -> dict[str, Any]:
    summary: dict[str, Any] = orjson.loads(text)
    if not all(
        isinstance(part, dict) for part in (summary, summary.get("rows", {}), summary.get("contacts", {}))
    ):
        raise TypeError
    return summary


def _at_source(summary: dict[str, Any]) -> datetime | None:
    window = summary.get("window")
    return datetime.fromisoformat(window["until"]) if window else None


@of_a_row
def _website(row: Row) -> KnownWebsite:
    _, number, watermark, swept, newest_first, read_at = row
    return KnownWebsite(
        id=number,
        watermark=instant_or_none(watermark),
        swept=instant_or_none(swept),
        newest_first=None if newest_first is None else bool(newest_first),
        read_at=instant_or_none(read_at),
    )


@of_a_row
def _watermark_of(summary: str) -> datetime | None:
    after = orjson.loads(summary)["watermark"]["after"]
    return datetime.fromisoformat(after) if after else None


def _by(latest: datetime, known: datetime | None) -> datetime | None:
    return known if known and known <= latest else None
