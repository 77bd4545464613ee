"""The contacts table: per contact what HubSpot should hold, and what it confirmed or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, delete, false, func, not_, null, or_, select, text, true, update

from etl.instants import microseconds
from etl.models.contact import RECORD, VISITOR, Contact, ContactKey, ContactKind, DueContact, LedgerEntry
from etl.models.verdict import ABSENT, CREATED, DEFERRED, GONE, REFUSED, TAKEN
from etl.state import tables
from etl.state.facts import facts_from, facts_text
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, among, overwritten, value
from etl.transform import is_due

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select, Update

    from etl.models.contact import Parcel
    from etl.models.verdict import Verdict
    from etl.models.visitor import Facts
    from etl.state.statements import Row, Statements

UNKNOWN = b""
"""In the place of a confirmed fingerprint: HubSpot holds the contact, but not surely as it was confirmed."""

_FORGOTTEN_AT_ONCE = 20_000
"""Contacts that one statement changes: one for a million takes longer than a statement may."""

_T, _C = tables.contacts, tables.contacts.c
_IS_DUE = text("due")
"""As the partial index has it, which SQLite uses for this very expression only."""

_IS_KNOWN = _C.kind != VISITOR.value


def _entry_of(contacts: Any) -> tuple[Any, ...]:
    c = contacts.c
    identity = (c.id, c.kind, c.key, c.record, c.made, c.remains)
    return (*identity, c.wanted, c.confirmed, c.refused, c.absent, c.blocked, c.due, c.unanswered)


_ENTRY = _entry_of(_T)
_DUE_CONTACT = (_C.id, _C.kind, _C.key, _C.record, _C.facts, _C.wanted, _C.confirmed, _C.unanswered)
_MEANT = _T.alias("meant")
"""The contact that a key leads to, in the end."""
_FORGETTABLE = and_(
    _C.wanted.is_not(None),
    _C.confirmed.is_not(None),
    not_(_C.blocked),
)
_NOT_REFUSED = or_(_C.refused.is_(None), _C.refused != _C.wanted)
_WITHOUT_REFUSAL = {
    "refused": null(),
    "blocked": false(),
    "gone": false(),
    "absent": null(),
    "absent_at": null(),
    "unanswered": text("0"),
}
_IS_REFUSED = and_(_C.wanted.is_not(None), or_(_C.blocked, _C.refused == _C.wanted), not_(_C.gone))


def _of_website(name: Any) -> ColumnElement[bool]:
    visitors, websites = tables.visitors, tables.websites
    belonging = visitors.join(websites, websites.c.id == visitors.c.website_id)
    return _C.id.in_(select(visitors.c.contact_id).select_from(belonging).where(websites.c.name == name))


def _with_any(fields: Iterable[str]) -> ColumnElement[bool]:
    """Whether a contact has one of these facts; the name of a fact stands in quotes nowhere else in JSON."""
    return or_(*(_C.facts.contains(f'"{name}":', autoescape=True) for name in fields))


def _change(columns: dict[str, Any]) -> Update:
    return update(_T).values(columns).where(_C.id == value("contact_id"))


def _change_range(columns: dict[str, Any], *which: ColumnElement[bool]) -> Update:
    return update(_T).values(columns).where(*which, _C.id > value("above"), _C.id <= value("last"))


def _for_both(build: Callable[[Iterable[Any]], Select[Any]]) -> dict[bool, Prepared]:
    """What asks for due contacts, by whether those without an address may be delivered."""
    return {
        True: Prepared(lambda _: build([_IS_DUE])),
        False: Prepared(lambda _: build([_IS_DUE, _IS_KNOWN])),
    }


def _select_by_key(dialect: str) -> Select[Any]:
    """The contacts that these keys lead to, each behind the key."""
    found = _T.join(_MEANT, _MEANT.c.id == func.coalesce(_C.into, _C.id))
    return select(_C.kind, _C.key, *_entry_of(_MEANT)).select_from(found).where(among(_C.key, dialect))


_BY_KEY = Prepared(_select_by_key)
_BY_RECORD = Prepared(lambda dialect: select(_C.record, *_ENTRY).where(among(_C.record, dialect)))
_BY_ID = Prepared(lambda dialect: select(*_ENTRY).where(among(_C.id, dialect)))
_LARGEST_ID = Prepared(lambda _: select(func.max(_C.id)))
_ADD = Insertion(_T, "id", "kind", "key", "facts", "wanted", "blocked", "due", "record", "unanswered")
_WANT = Prepared(
    lambda _: _change(overwritten("facts", "wanted", "confirmed", "due")),
    "new_facts",
    "new_wanted",
    "new_confirmed",
    "new_due",
    "contact_id",
)
_CONFIRM = Prepared(
    lambda _: _change(
        {
            **_WITHOUT_REFUSAL,
            "confirmed": value("fingerprint"),
            "due": false(),
            "record": func.coalesce(value("told"), _C.record),
            "made": or_(_C.made, value("created")),
        }
    ),
    "fingerprint",
    "told",
    "created",
    "contact_id",
)
_OUTDATED = Prepared(lambda dialect: select(_C.id).where(_C.wanted != _C.confirmed, among(_C.id, dialect)))
_DUE_AGAIN = Prepared(lambda dialect: update(_T).values(due=true()).where(among(_C.id, dialect)))
_SETTLE = Prepared(
    lambda _: _change(
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
    lambda _: _change({"refused": null(), "blocked": false(), "gone": false()} | overwritten("due")),
    "new_due",
    "contact_id",
)
_ANEW = Prepared(
    lambda _: _change_range(
        {
            **_WITHOUT_REFUSAL,
            "confirmed": null(),
            "record": null(),
            "made": false(),
            "into": null(),
            "due": and_(_C.wanted.is_not(None), _C.kind != RECORD.value),
        }
    )
)
_JOINED = Prepared(
    lambda _: (
        select(_C.id)
        .where(
            or_(_C.kind == RECORD.value, _C.id.in_(select(_MEANT.c.into).where(_MEANT.c.into.is_not(None))))
        )
        .order_by(_C.id)
    )
)
_DROP_LINKED = Prepared(lambda _: delete(_T).where(_C.kind == RECORD.value))
_REVIVE = Prepared(
    lambda _: (
        update(_T)
        .values({**_WITHOUT_REFUSAL, "confirmed": null(), "record": null(), "made": false(), "due": true()})
        .where(text("gone"), _C.kind != RECORD.value, _C.wanted.is_not(None))
    )
)
_RECHECKED = Prepared(
    lambda _: (
        select(_C.id)
        .where(_C.absent_at < value("before"), _C.kind == value("of_kind"))
        .order_by(_C.absent_at, _C.id)
        .limit(value("most"))
    )
)
_RECHECK = Prepared(
    lambda dialect: (
        update(_T)
        .values(absent=null(), absent_at=null(), due=_C.wanted.is_not(None))
        .where(among(_C.id, dialect))
    )
)
_DOUBT = Prepared(
    lambda dialect: (
        update(_T)
        .values(confirmed=UNKNOWN, due=true())
        .where(among(_C.id, dialect), _C.wanted.is_not(None), _C.confirmed.is_not(None), not_(_C.blocked))
    )
)
_PROMOTE = Prepared(lambda _: _change(overwritten("kind", "key")))
_ALIAS = Insertion(_T, "id", "kind", "key", "blocked", "due", "into", "unanswered")
_FLATTEN = Prepared(lambda _: update(_T).values(overwritten("into")).where(_C.into == value("contact_id")))
_BECOME = Prepared(
    lambda _: _change(
        {
            "facts": null(),
            "wanted": null(),
            "confirmed": null(),
            "due": false(),
            "record": null(),
            "remains": null(),
            **_WITHOUT_REFUSAL,
        }
        | overwritten("into")
    )
)
_ARE = Prepared(lambda _: _change({**_WITHOUT_REFUSAL, **overwritten("record", "made", "remains")}))
_COUNTS = Prepared(
    lambda _: select(
        func.count().filter(_C.confirmed.is_not(None)),
        func.count().filter(_IS_REFUSED),
        func.count().filter(_C.wanted.is_not(None), _C.absent == _C.wanted),
        func.count().filter(_C.gone),
    )
)
_REMAIN = Prepared(lambda _: _change(overwritten("remains")), "new_remains", "contact_id")
_DROP_KEYS = Prepared(lambda dialect: delete(_T).where(among(_C.into, dialect)))
_DROP = Prepared(lambda dialect: delete(_T).where(among(_C.id, dialect)))
_IS_LEFT = and_(text("contacts.made"), _C.wanted.is_(None))
"""As the partial index has it: HubSpot has it from this program, and nobody belongs to it any more."""


def _select_left(_dialect: str) -> Select[Any]:
    """Contacts that were made for a visitor who is known now, each with the contact that the visitor is.

    Whose the visitor is, is asked for each, so that SQLite does not go through all visitors.
    """
    visitors, known = tables.visitors, _T.alias("known")
    on_any_website = visitors.c.website_id.in_(select(tables.websites.c.id))
    whose = (
        select(func.max(visitors.c.contact_id))
        .where(on_any_website, visitors.c.id == _C.key)
        .correlate(_T)
        .scalar_subquery()
    )
    found = _T.join(known, known.c.id == whose)
    return (
        select(*_ENTRY, *_entry_of(known))
        .select_from(found)
        .where(
            _IS_LEFT,
            _C.kind == VISITOR.value,
            _C.record.is_not(None),
            not_(_C.blocked),
            known.c.kind != VISITOR.value,
            known.c.record.is_not(None),
            known.c.confirmed.is_not(None),
            not_(known.c.blocked),
        )
        .order_by(_C.id)
        .limit(value("most"))
    )


_LEFT = Prepared(_select_left)
_DISOWN = Prepared(lambda _: _change({"made": false()}))
_FOLLOW = Prepared(lambda _: _change(overwritten("record")))
_MADE = Prepared(lambda _: select(_C.record).where(_C.made, _C.record.is_not(None)).limit(1))
_DUE = _for_both(
    lambda deliverable: (
        select(*_DUE_CONTACT).where(*deliverable, _C.id > value("after")).order_by(_C.id).limit(value("most"))
    )
)
_DUE_IDS = _for_both(lambda deliverable: select(_C.id).where(*deliverable).order_by(_C.id))
_DUE_COUNT = _for_both(lambda deliverable: select(func.count()).select_from(_T).where(*deliverable))
_KINDS = {kind.value: kind for kind in ContactKind}
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

    def __init__(self, statements: Statements, *, anonymous: bool, now: datetime) -> None:
        self._statements = statements
        self._anonymous = anonymous
        self._now = microseconds(now)

    def by_key(self, keys: Collection[ContactKey]) -> dict[ContactKey, LedgerEntry]:
        """The contacts that these keys lead to: a record's id to whatever contact it is."""
        found = {}
        for kind, text_of_key, *row in self._statements.among(_BY_KEY, {key.value for key in keys}):
            key = ContactKey(_KINDS[kind], text_of_key)
            if key in keys:
                found[key] = _entry(row)
        records = {key.value for key in keys if key.kind is RECORD}
        if records:
            for record, *row in self._statements.among(_BY_RECORD, records):
                found[ContactKey(RECORD, record)] = _entry(row)
        return found

    def by_id(self, ids: Collection[int]) -> dict[int, LedgerEntry]:
        return {entry.contact_id: entry for entry in map(_entry, self._statements.among(_BY_ID, ids))}

    def add(self, wanted: Sequence[tuple[Contact, bytes]]) -> list[DueContact]:
        """Insert contacts that nobody knew, due at once; their ids are dense from 1. Returns them."""
        if not wanted:
            return []
        first = (self._statements.value(_LARGEST_ID) or 0) + 1
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
                known = confirmed is not None
                found[number] = DueContact(
                    number, contact, fingerprint, known, entry.unanswered, entry.record
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
        told, same = self._told(answered)
        taken = [
            (parcel.fingerprint, told.get(parcel.contact_id), verdict.outcome is CREATED, parcel.contact_id)
            for parcel, verdict in answered
            if verdict.outcome in TAKEN
        ]
        self._statements.change_many(_CONFIRM, taken)
        ids = [contact_id for *_, contact_id in taken]
        due = {contact_id for (contact_id,) in self._statements.among(_OUTDATED, ids)}
        self._statements.change_among(_DUE_AGAIN, due)
        due |= self._settle_others([each for each in answered if each[1].outcome not in TAKEN], told)
        return Settled(due, same, self._doubt_kin(answered))

    def _told(
        self, answered: Sequence[tuple[Parcel, Verdict]]
    ) -> tuple[dict[int, str], list[tuple[int, int]]]:
        """The records that are new to their contacts, and the pairs of contacts that have one."""
        told: dict[int, str] = {}
        same: list[tuple[int, int]] = []
        new = {
            parcel.contact_id: verdict.record
            for parcel, verdict in answered
            if verdict.record is not None and verdict.record != parcel.record
        }
        if not new:
            return told, same
        owners = {
            record: owner for record, owner, *_ in self._statements.among(_BY_RECORD, set(new.values()))
        }
        for contact_id, record in new.items():
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
        return self.doubt_others(kin, {str(verdict.record) for _, verdict in answered})

    def doubt_others(self, keys: Collection[ContactKey], records: Collection[str]) -> set[int]:
        """Make due what ``keys`` lead to and HubSpot has confirmed under other ids than ``records``."""
        ids = {
            entry.contact_id
            for entry in self.by_key(keys).values()
            if entry.record is not None and entry.record not in records
        }
        return self.doubt(ids)

    def doubt(self, contact_ids: Collection[int]) -> set[int]:
        """Make due what HubSpot may hold otherwise than it confirmed. Returns the ids of what is due."""
        self._statements.change_among(_DOUBT, contact_ids)
        return {number for number, entry in self.by_id(contact_ids).items() if entry.due}

    def _settle_others(self, answered: Sequence[tuple[Parcel, Verdict]], told: Mapping[int, str]) -> set[int]:
        """What HubSpot did not take. Returns the ids of those that are due."""
        before = self.by_id([parcel.contact_id for parcel, _ in answered])
        rows = [
            _untaken(
                before[parcel.contact_id], parcel, verdict, told=told.get(parcel.contact_id), now=self._now
            )
            for parcel, verdict in answered
        ]
        self._statements.change_many(_SETTLE, rows)
        return {contact_id for _, _, due, *_, contact_id in rows if due}

    def promote(self, entry: LedgerEntry, key: ContactKey) -> None:
        """Let ``key``, which says more, be the contact's own; the one that it had leads to it."""
        self._statements.change(
            _PROMOTE, new_kind=key.kind.value, new_key=key.value, contact_id=entry.contact_id
        )
        number = (self._statements.value(_LARGEST_ID) or 0) + 1
        old = entry.key
        row = (number, *old, False, False, entry.contact_id, 0)
        self._statements.add(_ALIAS, *row)

    def unite(self, stays: LedgerEntry, goes: LedgerEntry, *, remains: Facts | None) -> None:
        """Let ``goes`` be another key of ``stays``: both are one record. What is wanted is left as it is."""
        self._statements.change(_FLATTEN, new_into=stays.contact_id, contact_id=goes.contact_id)
        self._statements.change(_BECOME, new_into=stays.contact_id, contact_id=goes.contact_id)
        self._statements.change(
            _ARE,
            new_record=stays.record or goes.record,
            new_made=stays.made and goes.made,
            new_remains=facts_text(remains) if remains else None,
            contact_id=stays.contact_id,
        )

    def left(self, most: int) -> list[tuple[LedgerEntry, LedgerEntry]]:
        """Contacts made for visitors who turned out to be others, each with whom it turned out to be."""
        width = len(_ENTRY)
        rows = [tuple(row) for row in self._statements.rows(_LEFT, most=most)]
        pairs = {row[0]: (_entry(row[:width]), _entry(row[width:])) for row in rows}
        return list(pairs.values())

    def disown(self, contact_id: int) -> None:
        """Take the record for somebody else's from now on."""
        self._statements.change(_DISOWN, contact_id=contact_id)

    def follow(self, contact_id: int, record: str) -> None:
        """The contact's record is to be found under another id."""
        self._statements.change(_FOLLOW, new_record=record, contact_id=contact_id)

    def keep_remains(self, remains: Mapping[int, Facts]) -> None:
        """Keep these facts of visitors that are not kept any more, by contact."""
        rows = [(facts_text(facts), contact_id) for contact_id, facts in remains.items()]
        self._statements.change_many(_REMAIN, rows)

    def drop(self, contact_ids: Collection[int]) -> None:
        """Keep these contacts no more, to whom nobody belongs, nor the other keys that lead to them."""
        self._statements.change_among(_DROP_KEYS, contact_ids)
        self._statements.change_among(_DROP, contact_ids)

    def recheck(self, kind: ContactKind, *, before: datetime, most: int) -> int:
        """Make due up to ``most`` of those that were absent ``before`` then, the longest ago first."""
        rows = self._statements.rows(_RECHECKED, of_kind=kind.value, before=microseconds(before), most=most)
        ids = [contact_id for (contact_id,) in rows]
        self._statements.change_among(_RECHECK, ids)
        return len(ids)

    def revive(self) -> int:
        """Make due what is gone, as if HubSpot had never had it. Returns how many."""
        return self._statements.change(_REVIVE)

    def one_made(self) -> str | None:
        """The record of some contact that this program has created."""
        return _record(self._statements.value(_MADE))

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
            for contact_id, entry in self.by_id(contact_ids).items()
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
        columns = {"confirmed": UNKNOWN, "due": _NOT_REFUSED}
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

    def begin_anew(self) -> Sequence[int]:
        """Forget all that HubSpot ever said: this is another portal. Every contact is due that has a key.

        Returns those that somebody may belong to for what was said there.
        """
        joined = [contact_id for (contact_id,) in self._statements.rows(_JOINED)]
        self._change_all(_ANEW)
        return joined

    def drop_linked(self) -> None:
        """Keep no contact to which only a link led; nobody belongs to one any more."""
        self._statements.change(_DROP_LINKED)

    def _change_all(self, statement: Prepared) -> None:
        """Run ``statement`` over ranges of ids."""
        last = self._statements.value(_LARGEST_ID) or 0
        for above in range(0, last, _FORGOTTEN_AT_ONCE):
            self._statements.change(statement, above=above, last=above + _FORGOTTEN_AT_ONCE)


def _record_of(key: ContactKey) -> str | None:
    return key.value if key.kind is RECORD else None


@of_a_row
def _record(told: object) -> str | None:
    if not isinstance(told, str | None):
        raise TypeError
    return told


@of_a_row
def _entry(row: Sequence[Any]) -> LedgerEntry:
    contact_id, kind, key, record, made, remains, wanted, confirmed, refused, absent, *states = row
    blocked, due, unanswered = states
    return LedgerEntry(
        contact_id,
        ContactKey(_KINDS[kind], key),
        wanted,
        confirmed,
        refused,
        absent,
        bool(blocked),
        bool(due),
        record,
        bool(made),
        facts_from(remains) if remains else None,
        unanswered,
    )


@of_a_row
def _due_contact(row: Row) -> DueContact:
    contact_id, kind, key, record, facts, wanted, confirmed, unanswered = row
    if not isinstance(key, str):
        raise TypeError
    contact = Contact(ContactKey(_KINDS[kind], key), facts_from(facts))
    return DueContact(contact_id, contact, wanted, confirmed is not None, unanswered, record)


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
