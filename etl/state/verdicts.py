"""The verdicts table: what each run did to each contact, as long as it can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, func, select, tuple_

from etl.instants import instant, microseconds
from etl.models.contact import ContactKey
from etl.models.deed import Deed
from etl.models.verdict import CREATED, DEFERRED, UPDATED, Outcome
from etl.state import tables
from etl.state.entries import KINDS
from etl.state.facts import texts_from, texts_text
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, among, value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from etl.models.contact import Parcel
    from etl.models.verdict import Verdict
    from etl.state.statements import Row, Statements

_T, _V, _R, _C = tables.verdicts, tables.verdicts.c, tables.runs.c, tables.contacts.c
_NUMBER = Prepared(lambda _: select(_R.number).where(_R.id == value("named")))
_BEFORE = Prepared(
    lambda dialect: select(_V.contact_id, _V.outcome, _V.times, _V.before, _V.after).where(
        _V.run == value("number"), among(_V.contact_id, dialect)
    )
)
_ADD = Insertion(_T, "run", "contact_id", "outcome", "times", "record", "before", "after")
_FORGET = Prepared(lambda dialect: delete(_T).where(_V.run == value("number"), among(_V.contact_id, dialect)))
_DONE = (_V.contact_id, _C.kind, _C.key, _V.record, _V.outcome, _V.times, _V.before, _V.after)
_OF_RUN = Prepared(
    lambda _: (
        select(*_DONE)
        .select_from(_T.join(tables.contacts, _C.id == _V.contact_id))
        .where(_V.run == value("number"), _V.contact_id > value("after"))
        .order_by(_V.contact_id)
        .limit(value("most"))
    )
)
_OF_CONTACT = Prepared(
    lambda _: (
        select(_R.id, _R.kind, _R.started, _V.outcome, _V.before, _V.after)
        .select_from(_T.join(tables.runs, _R.number == _V.run))
        .where(_V.contact_id == value("contact_id"))
        .order_by(_V.run.desc())
        .limit(value("most"))
    )
)
_LAST_OLD = Prepared(lambda _: select(func.max(_R.number)).where(_R.started < value("before")))
_PRUNE = Prepared(
    lambda _: delete(_T).where(
        tuple_(_V.run, _V.contact_id).in_(
            select(_V.run, _V.contact_id).where(_V.run <= value("number")).limit(value("most"))
        )
    )
)


class PastVerdict(NamedTuple):
    """What a run did to the contact that is asked about, and what that changed."""

    run: str
    kind: str
    started: datetime
    outcome: Outcome
    before: Mapping[str, str]
    after: Mapping[str, str]


class Verdicts:
    """What runs did, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def number(self, run: str) -> int | None:
        """What verdicts name a run by; None for one that is not known, or of an older version."""
        number: int | None = self._statements.value(_NUMBER, named=run)
        return number

    def settle(self, run: str, answered: Sequence[tuple[Parcel, Verdict]]) -> None:
        """Write down what was done; what was done to a contact twice in a run comes to one row."""
        told = [pair for pair in answered if pair[1].outcome is not DEFERRED]
        number = self.number(run) if told else None
        if number is None:
            return
        ids = {parcel.contact_id for parcel, _ in told}
        earlier = {row[0]: row for row in self._statements.among(_BEFORE, ids, number=number)}
        self._statements.change_among(_FORGET, earlier, number=number)
        rows = [(number, *_row(parcel, verdict, earlier.get(parcel.contact_id))) for parcel, verdict in told]
        self._statements.add_many(_ADD, rows)

    def of_run(self, number: int, *, after: int = 0, most: int = 1000) -> list[Deed]:
        """What a run did to contacts with an id above ``after``, in the order of their ids."""
        rows = self._statements.rows(_OF_RUN, number=number, after=after, most=most)
        return [_deed(row) for row in rows]

    def of_contact(self, contact_id: int, *, most: int = 10) -> list[PastVerdict]:
        """What runs did to a contact, the latest first."""
        rows = self._statements.rows(_OF_CONTACT, contact_id=contact_id, most=most)
        return [_past(row) for row in rows]

    def prune(self, *, before: datetime, most: int) -> None:
        """Drop up to ``most`` verdicts of runs that were started before then."""
        last = self._statements.value(_LAST_OLD, before=microseconds(before))
        if last is not None:
            self._statements.change(_PRUNE, number=last, most=most)


def _row(parcel: Parcel, verdict: Verdict, earlier: Row | None) -> Row:
    """``earlier`` is what the run did to the contact before: what it was, stays.

    What was only written once more counts as if it had been there: HubSpot knows better if it was not.
    """
    outcome = verdict.outcome
    after = dict(parcel.properties) if outcome is UPDATED else {}
    before = {name: parcel.before.get(name, text) for name, text in after.items()}
    times = 1
    if earlier is not None:
        _, outcome_before, times_before, before_that, after_that = earlier
        times += int(times_before)
        outcome = CREATED if outcome_before == CREATED.value else outcome
        before, after = before | _texts(before_that), _texts(after_that) | after
    record = verdict.record or parcel.record
    return parcel.contact_id, outcome.value, times, record, texts_text(before), texts_text(after)


_texts = of_a_row(texts_from)


@of_a_row
def _deed(row: Row) -> Deed:
    contact_id, kind, key, record, outcome, times, before, after = row
    return Deed(
        contact_id,
        ContactKey(KINDS[kind], key),
        record,
        Outcome(outcome),
        int(times),
        texts_from(before),
        texts_from(after),
    )


@of_a_row
def _past(row: Row) -> PastVerdict:
    run, kind, started, outcome, before, after = row
    was, now = texts_from(before), texts_from(after)
    changed = [name for name, text in now.items() if was.get(name) != text]
    return PastVerdict(
        run,
        kind,
        instant(started),
        Outcome(outcome),
        {name: was.get(name, "") for name in changed},
        {name: now[name] for name in changed},
    )
