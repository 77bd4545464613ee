"""The contacts table: per contact what HubSpot should hold, and what it confirmed or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, case, false, func, not_, null, or_, select, text, true, update

from etl.instants import microseconds
from etl.models.contact import RECORD, VISITOR, Contact, ContactKey, ContactKind, DueContact, LedgerEntry
from etl.models.verdict import ABSENT, CREATED, DEFERRED, GONE, REFUSED, SETTLED, TAKEN
from etl.state import tables
from etl.state.entries import (
    BY_RECORD,
    DOUBTED,
    KINDS,
    LARGEST_ID,
    UNKNOWN,
    WITHOUT_REFUSAL,
    WITHOUT_WRITTEN,
    change,
)
from etl.state.facts import facts_from, facts_text, maybe_text, texts_text, written_from
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, among, overwritten, value
from etl.transform import is_due

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select, Update

    from etl.models.contact import Parcel, Written
    from etl.models.verdict import Verdict
    from etl.state.entries import Entries
    from etl.state.records import Records
    from etl.state.statements import Row, Statements

_FORGOTTEN_AT_ONCE = 20_000
"""Contacts that one statement changes: one for a million takes longer than a statement may."""

_T, _C = tables.contacts, tables.contacts.c
_IS_DUE = text("due")
"""As the partial index has it, which SQLite uses for this very expression only."""

_IS_KNOWN = _C.kind != VISITOR.value


_DUE_CONTACT = (
    *(_C.id, _C.kind, _C.key, _C.record, _C.facts, _C.wanted, _C.confirmed, _C.unanswered),
    *(_C.written, _C.maybe, _C.kept, _C.kept_at),
)
_FORGETTABLE = and_(
    _C.wanted.is_not(None),
    _C.confirmed.is_not(None),
    not_(_C.blocked),
)
_NOT_REFUSED = or_(_C.refused.is_(None), _C.refused != _C.wanted)
_IS_REFUSED = and_(_C.wanted.is_not(None), or_(_C.blocked, _C.refused == _C.wanted), not_(_C.gone))


def _of_website(name: Any) -> ColumnElement[bool]:
    visitors, websites = tables.visitors, tables.websites
    belonging = visitors.join(websites, websites.c.id == visitors.c.website_id)
    return _C.id.in_(select(visitors.c.contact_id).select_from(belonging).where(websites.c.name == name))


def _with_any(fields: Iterable[str]) -> ColumnElement[bool]:
    """Whether a contact has one of these facts; the name of a fact stands in quotes nowhere else in JSON."""
    return or_(*(_C.facts.contains(f'"{name}":', autoescape=True) for name in fields))


def _change_range(columns: dict[str, Any], *which: ColumnElement[bool]) -> Update:
    return update(_T).values(columns).where(*which, _C.id > value("above"), _C.id <= value("last"))


def _for_both(build: Callable[[Iterable[Any]], Select[Any]]) -> dict[bool, Prepared]:
    """What asks for due contacts, by whether those without an address may be delivered."""
    return {
        True: Prepared(lambda _: build([_IS_DUE])),
        False: Prepared(lambda _: build([_IS_DUE, _IS_KNOWN])),
    }


_ADD = Insertion(_T, "id", "kind", "key", "facts", "wanted", "blocked", "due", "record", "unanswered")
_WANT = Prepared(
    lambda _: change(overwritten("facts", "wanted", "confirmed", "due")),
    "new_facts",
    "new_wanted",
    "new_confirmed",
    "new_due",
    "contact_id",
)
_CONFIRM = Prepared(
    lambda _: change(
        {
            **WITHOUT_REFUSAL,
            "confirmed": value("fingerprint"),
            "due": false(),
            "record": func.coalesce(value("told"), _C.record),
            "made": or_(_C.made, value("created")),
            **overwritten("written", "maybe", "kept", "kept_at"),
        }
    ),
    "fingerprint",
    "told",
    "created",
    "new_written",
    "new_maybe",
    "new_kept",
    "new_kept_at",
    "contact_id",
)
_OF_ONE_RECORD = ("confirmed", "written", "maybe", "kept", "kept_at")
_MEET = Prepared(
    lambda _: change(
        {name: case((_C.record.is_(None), _C[name]), else_=null()) for name in _OF_ONE_RECORD}
        | overwritten("record")
    ),
    "new_record",
    "contact_id",
)
"""A contact that was another record before, which is not there any more, has nothing of ours."""

_INTEND = Prepared(lambda _: change(overwritten("maybe")), "new_maybe", "contact_id")
_UNREMEMBERED = Prepared(
    lambda _: (
        select(*_DUE_CONTACT)
        .where(
            _C.id > value("after"),
            _C.written.is_(None),
            _C.maybe.is_(None),
            _C.facts.is_not(None),
            _C.confirmed == _C.wanted,
        )
        .order_by(_C.id)
        .limit(value("most"))
    )
)
_REMEMBER_ALL = Prepared(
    lambda _: change(overwritten("written", "maybe", "kept", "kept_at")),
    "new_written",
    "new_maybe",
    "new_kept",
    "new_kept_at",
    "contact_id",
)
_PART_WITH = Prepared(
    lambda dialect: (
        update(_T)
        .values({**WITHOUT_WRITTEN, "confirmed": null(), "record": null(), "made": false()})
        .where(among(_C.id, dialect))
    )
)
_REMEMBER = Prepared(lambda _: change(overwritten("written")), "new_written", "contact_id")
_OUTDATED = Prepared(lambda dialect: select(_C.id).where(_C.wanted != _C.confirmed, among(_C.id, dialect)))
_DUE_AGAIN = Prepared(lambda dialect: update(_T).values(due=true()).where(among(_C.id, dialect)))
_SETTLE = Prepared(
    lambda _: change(
        overwritten("refused", "blocked", "due", "gone", "absent", "absent_at", "unanswered")
        | {"record": func.coalesce(value("told"), _C.record)}
    ),
    "new_refused",
    "new_blocked",
    "new_due",
    "told",
    "new_gone",
    "new_absent",
    "new_absent_at",
    "new_unanswered",
    "contact_id",
)
_RETRY = Prepared(
    lambda _: change({"refused": null(), "blocked": false(), "gone": false()} | overwritten("due")),
    "new_due",
    "contact_id",
)
_ANEW = Prepared(
    lambda _: _change_range(
        {
            **WITHOUT_REFUSAL,
            **WITHOUT_WRITTEN,
            "confirmed": null(),
            "record": null(),
            "made": false(),
            "into": null(),
            "due": and_(_C.wanted.is_not(None), _C.kind != RECORD.value),
        }
    )
)
_COUNTS = Prepared(
    lambda _: select(
        func.count().filter(_C.confirmed.is_not(None), not_(_C.gone)),
        func.count().filter(_IS_REFUSED),
        func.count().filter(_C.wanted.is_not(None), _C.absent == _C.wanted),
        func.count().filter(_C.gone),
    )
)
_DUE = _for_both(
    lambda deliverable: (
        select(*_DUE_CONTACT).where(*deliverable, _C.id > value("after")).order_by(_C.id).limit(value("most"))
    )
)
_DUE_IDS = _for_both(lambda deliverable: select(_C.id).where(*deliverable).order_by(_C.id))
_DUE_COUNT = _for_both(lambda deliverable: select(func.count()).select_from(_T).where(*deliverable))
_NAMES = {kind: kind.value for kind in ContactKind}


class LedgerCounts(NamedTuple):
    """Contacts that HubSpot holds as it confirmed them, that are due, and that wait as rejected.

    ``absent`` are those that nobody in HubSpot is, ``gone`` those whose record was there and is no more.
    """

    confirmed: int
    due: int
    rejected: int
    absent: int
    gone: int


class Settled(NamedTuple):
    """``due`` are those of the answered contacts that are due still, or again.

    ``same`` are pairs of contacts with one record, ``kin`` others that may have one of these records, too:
    they are due, as their next delivery tells.
    """

    due: set[int]
    same: list[tuple[int, int]]
    kin: set[int]


class Ledger:
    """The contacts of one HubSpot account, inside one transaction.

    ``anonymous`` says whether contacts without an address are to be delivered at all; ``now`` is the instant
    of what happens.
    """

    def __init__(
        self,
        statements: Statements,
        entries: Entries,
        records: Records,
        *,
        anonymous: bool,
        now: datetime,
    ) -> None:
        self._statements = statements
        self._entries = entries
        self._records = records
        self._anonymous = anonymous
        self._now = microseconds(now)

    def add(self, wanted: Sequence[tuple[Contact, bytes]]) -> list[DueContact]:
        """Insert contacts that nobody knew, due at once; their ids are dense from 1. Returns them."""
        if not wanted:
            return []
        first = (self._statements.value(LARGEST_ID) or 0) + 1
        self._statements.add_many(
            _ADD,
            (
                (
                    number,
                    _NAMES[contact.key.kind],
                    contact.key.value,
                    facts_text(contact.facts),
                    fingerprint,
                    False,
                    True,
                    _record_of(contact.key),
                    0,
                )
                for number, (contact, fingerprint) in enumerate(wanted, first)
            ),
        )
        return [
            DueContact(number, contact, fingerprint, False, 0, _record_of(contact.key))  # noqa: FBT003 -- by name it takes twice as long
            for number, (contact, fingerprint) in enumerate(wanted, first)
        ]

    def want(
        self, changes: Iterable[tuple[LedgerEntry, Contact | None, bytes | None]]
    ) -> dict[int, DueContact | None]:
        """Write what is wanted now, None for nothing. Returns what is to be delivered of each contact.

        A contact that was due may have been sent without a verdict: what HubSpot confirmed before is then
        no longer what it surely holds.
        """
        found: dict[int, DueContact | None] = {}
        rows = []
        for entry, contact, fingerprint in changes:
            number = entry.contact_id
            confirmed = UNKNOWN if entry.due and entry.confirmed is not None else entry.confirmed
            now_due = is_due(
                wanted=fingerprint,
                confirmed=confirmed,
                refused=entry.refused,
                blocked=entry.blocked,
                absent=entry.absent,
            )
            rows.append(
                (facts_text(contact.facts) if contact else None, fingerprint, confirmed, now_due, number)
            )
            found[number] = None
            if now_due and contact and fingerprint and (self._anonymous or entry.key.kind is not VISITOR):
                found[number] = DueContact(
                    number,
                    contact,
                    fingerprint,
                    confirmed is not None,
                    entry.unanswered,
                    entry.record,
                    bool(confirmed),
                    entry.written,
                )
        self._statements.change_many(_WANT, rows)
        return found

    def due(self, *, after: int, most: int) -> list[DueContact]:
        """Up to ``most`` due contacts with an id above ``after``, in the order of their ids."""
        return [
            _due_contact(row) for row in self._statements.rows(_DUE[self._anonymous], after=after, most=most)
        ]

    def due_ids(self) -> Iterator[int]:
        """The ids of all due contacts, ascending."""
        for (contact_id,) in self._statements.stream(_DUE_IDS[self._anonymous]):
            yield contact_id

    def due_count(self) -> int:
        count: int = self._statements.value(_DUE_COUNT[self._anonymous])
        return count

    def counts(self) -> LedgerCounts:
        """Reads the whole ledger: for ``status``, not for a run."""
        ((confirmed, *others),) = self._statements.rows(_COUNTS)
        return LedgerCounts(confirmed, self.due_count(), *others)

    def settle(self, answered: Sequence[tuple[Parcel, Verdict]]) -> Settled:
        """Write down what HubSpot said of each parcel.

        A record that another contact is already is not written down: the two are one.
        """
        told, same = self._told(
            {
                parcel.contact_id: verdict.record
                for parcel, verdict in answered
                if verdict.record is not None and verdict.is_new_to(parcel)
            }
        )
        taken = [
            (
                parcel.fingerprint,
                told.get(parcel.contact_id),
                verdict.outcome is CREATED,
                *self._remembered(parcel, verdict),
                parcel.contact_id,
            )
            for parcel, verdict in answered
            if verdict.outcome in SETTLED
        ]
        self._statements.change_many(_CONFIRM, taken)
        ids = [contact_id for *_, contact_id in taken]
        due = {contact_id for (contact_id,) in self._statements.among(_OUTDATED, ids)}
        self._statements.change_among(_DUE_AGAIN, due)
        due |= self._settle_others([each for each in answered if each[1].outcome not in SETTLED], told)
        return Settled(due, same, self._doubt_kin(answered))

    def _remembered(
        self, parcel: Parcel, verdict: Verdict
    ) -> tuple[str | None, str | None, str | None, int | None]:
        """What is written, what of other properties may be, what gave way, and when that was seen."""
        last = dict(parcel.written.last)
        if verdict.outcome in TAKEN:
            last |= {name: text for name, text in parcel.properties.items() if name in parcel.wanted}
        kept_at = self._now if parcel.yields else parcel.written.kept_at if parcel.kept else None
        maybe = parcel.written.maybe and tuple(
            {name: text for name, text in texts.items() if name not in parcel.wanted}
            for texts in parcel.written.maybe
        )
        return texts_text(last), maybe_text(maybe), texts_text(parcel.kept), kept_at

    def meet(self, records: Mapping[int, str]) -> list[tuple[int, int]]:
        """Write down which records contacts are. Returns the pairs of contacts that are the same one."""
        told, same = self._told(records)
        self._statements.change_many(_MEET, [(record, number) for number, record in told.items()])
        return same

    def intend(self, intended: Mapping[int, Sequence[Mapping[str, str]]]) -> None:
        """Write down the texts that HubSpot may hold of contacts from now on, whatever becomes of it."""
        rows = [(maybe_text(tuple(texts)), number) for number, texts in intended.items()]
        self._statements.change_many(_INTEND, rows)

    def unremembered(self, *, after: int, most: int) -> list[DueContact]:
        """Contacts that HubSpot holds as we want them, and of which older versions kept no text."""
        return [_due_contact(row) for row in self._statements.rows(_UNREMEMBERED, after=after, most=most)]

    def remember(self, texts: Mapping[int, Mapping[str, str]]) -> None:
        """Write down what was written of contacts."""
        rows = [(texts_text(each) or "{}", number) for number, each in texts.items()]
        self._statements.change_many(_REMEMBER, rows)

    def remember_all(self, written: Mapping[int, Written]) -> None:
        """Write down all that is known of the writing to contacts."""
        rows = [
            (texts_text(each.last), maybe_text(each.maybe), texts_text(each.kept), each.kept_at, number)
            for number, each in written.items()
        ]
        self._statements.change_many(_REMEMBER_ALL, rows)

    def part_with(self, contact_ids: Collection[int]) -> None:
        """The records of these are not there any more: what is made of the contacts again are others."""
        self._statements.change_among(_PART_WITH, contact_ids)

    def _told(self, records: Mapping[int, str]) -> tuple[dict[int, str], list[tuple[int, int]]]:
        """The records that are new to their contacts, and the pairs of contacts that have one."""
        told: dict[int, str] = {}
        same: list[tuple[int, int]] = []
        if not records:
            return told, same
        found = self._statements.among(BY_RECORD, set(records.values()))
        owners = {record: owner for record, owner, *_ in found}
        for contact_id, record in records.items():
            owner = owners.setdefault(record, contact_id)
            if owner == contact_id:
                told[contact_id] = record
            else:
                same.append((owner, contact_id))
        return told, same

    def _doubt_kin(self, answered: Sequence[tuple[Parcel, Verdict]]) -> set[int]:
        kin = {key for _, verdict in answered for key in verdict.kin}
        if not kin:
            return set()
        return self._records.doubt_others(kin, {str(verdict.record) for _, verdict in answered})

    def _settle_others(self, answered: Sequence[tuple[Parcel, Verdict]], told: Mapping[int, str]) -> set[int]:
        """What HubSpot did not take. Returns the ids of those that are due."""
        before = self._entries.by_id([parcel.contact_id for parcel, _ in answered])
        rows = [
            _untaken(
                before[parcel.contact_id], parcel, verdict, told=told.get(parcel.contact_id), now=self._now
            )
            for parcel, verdict in answered
        ]
        self._statements.change_many(_SETTLE, rows)
        return {contact_id for _, _, due, *_, contact_id in rows if due}

    def retry(self, contact_ids: Collection[int]) -> None:
        """Lift the rejections of these contacts."""
        rows = [
            (
                is_due(
                    wanted=entry.wanted,
                    confirmed=entry.confirmed,
                    refused=None,
                    blocked=False,
                    absent=entry.absent,
                ),
                contact_id,
            )
            for contact_id, entry in self._entries.by_id(contact_ids).items()
        ]
        self._statements.change_many(_RETRY, rows)

    def forget_confirmations(
        self, *, website: str | None = None, fields: Collection[str] | None = None
    ) -> None:
        """Make every confirmed contact due again.

        With ``website``, only those of its visitors; with ``fields``, only those that have one of these
        facts, as after a change of their properties' names. ``visitor_id`` is one that anonymous contacts
        have.
        """
        which = [_FORGETTABLE]
        if website is not None:
            which.append(_of_website(website))
        if fields is not None:
            anonymous = [_C.kind == VISITOR.value] if "visitor_id" in fields else []
            which.append(or_(_with_any(fields), *anonymous))
        columns = {"confirmed": UNKNOWN, "due": _NOT_REFUSED} | (DOUBTED if fields is None else {})
        self._change_all(Prepared(lambda _: _change_range(columns, *which)))

    def confirmed_count(self, *, website: str | None = None) -> int:
        """How many contacts ``forget_confirmations`` would have delivered once more."""
        which = [_FORGETTABLE, _NOT_REFUSED]
        if not self._anonymous:
            which.append(_IS_KNOWN)
        if website is not None:
            which.append(_of_website(website))
        query = select(func.count()).select_from(_T).where(*which)
        count: int = self._statements.value(Prepared(lambda _: query))
        return count

    def begin_anew(self) -> None:
        """Forget all that HubSpot ever said: this is another portal. Every contact is due that has a key."""
        self._change_all(_ANEW)

    def _change_all(self, statement: Prepared) -> None:
        """Run ``statement`` over ranges of ids."""
        last = self._statements.value(LARGEST_ID) or 0
        for above in range(0, last, _FORGOTTEN_AT_ONCE):
            self._statements.change(statement, above=above, last=above + _FORGOTTEN_AT_ONCE)


def _record_of(key: ContactKey) -> str | None:
    return key.value if key.kind is RECORD else None


@of_a_row
def _due_contact(row: Row) -> DueContact:
    contact_id, kind, key, record, facts, wanted, confirmed, unanswered, *written = row
    if not isinstance(key, str):
        raise TypeError
    contact = Contact(ContactKey(KINDS[kind], key), facts_from(facts))
    known, is_sure = confirmed is not None, bool(confirmed)
    remembered = written_from(*written)
    return DueContact(contact_id, contact, wanted, known, unanswered, record, is_sure, remembered)


def _untaken(before: LedgerEntry, parcel: Parcel, verdict: Verdict, *, told: str | None, now: int) -> Row:
    """What a verdict other than a confirmation makes of a contact."""
    outcome = verdict.outcome
    refused, blocked = before.refused, before.blocked
    if outcome in REFUSED:
        refused, blocked = parcel.fingerprint, verdict.final
    absent = parcel.fingerprint if outcome is ABSENT else None
    unanswered = parcel.unanswered + verdict.unanswered if outcome is DEFERRED else 0
    due = is_due(
        wanted=before.wanted, confirmed=before.confirmed, refused=refused, blocked=blocked, absent=absent
    )
    absent_at = now if absent else None
    gone = outcome is GONE
    return (refused, blocked, due, told, gone, absent, absent_at, unanswered, before.contact_id)
