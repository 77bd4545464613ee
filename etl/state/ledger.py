"""The contacts table: per contact what HubSpot should hold, and what it confirmed or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from etl.instants import instant, microseconds
from etl.models.contact import EMAIL, Contact, ContactKey, ContactKind, DueContact, LedgerEntry
from etl.models.verdict import DEFERRED, REJECTED, TAKEN
from etl.state.failures import of_a_row
from etl.transform import is_due

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from etl.models.contact import Parcel
    from etl.models.verdict import Verdict
    from etl.state.statements import Row, Statements

_BY_KEY = """
    SELECT id, kind, key, wanted, confirmed, refused, blocked, due FROM contacts WHERE key IN (?, …)"""
_BY_ID = """
    SELECT id, kind, key, wanted, confirmed, refused, blocked, due FROM contacts WHERE id IN (?, …)"""
_SAID = "SELECT id, wanted, confirmed, refused, blocked FROM contacts WHERE id IN (?, …)"
_ADD = """
    INSERT INTO contacts (id, kind, key, last_seen, country, pageviews, wanted, blocked, unanswered, due)
    VALUES (?, ?, ?, ?, ?, ?, ?, false, 0, true)"""
_WANT = """
    UPDATE contacts SET last_seen = ?, country = ?, pageviews = ?, wanted = ?, confirmed = ?, due = ?
    WHERE id = ?"""
_CONFIRM = """
    UPDATE contacts
    SET confirmed = ?, refused = NULL, blocked = false, unanswered = 0, due = false,
        hubspot_id = COALESCE(?, hubspot_id)
    WHERE id = ?"""
_OUTDATED = "SELECT id FROM contacts WHERE wanted <> confirmed AND id IN (?, …)"
_DUE_AGAIN = "UPDATE contacts SET due = true WHERE id IN (?, …)"
_SETTLE = """
    UPDATE contacts
    SET refused = ?, blocked = ?, unanswered = ?, due = ?, hubspot_id = COALESCE(?, hubspot_id)
    WHERE id = ?"""
_RETRY = "UPDATE contacts SET refused = NULL, blocked = false, due = ? WHERE id = ?"
_CONFIRMED = "wanted IS NOT NULL AND confirmed IS NOT NULL AND NOT blocked"
_FORGET = f"""
    UPDATE contacts SET confirmed = ?, due = (refused IS NULL OR refused <> wanted)
    WHERE {_CONFIRMED} AND id > ? AND id <= ?"""  # noqa: S608 -- two constants
_FORGETTABLE = f"""
    SELECT count(*) FROM contacts WHERE {_CONFIRMED} AND (refused IS NULL OR refused <> wanted)"""  # noqa: S608 -- the same
_OF_WEBSITE = """ AND id IN (
    SELECT v.contact_id FROM visitors v JOIN websites w ON w.id = v.website_id WHERE w.name = ?)"""
_FORGOTTEN_AT_ONCE = 20_000
_ANEW = """
    UPDATE contacts
    SET confirmed = NULL, refused = NULL, blocked = false, unanswered = 0, hubspot_id = NULL,
        due = (wanted IS NOT NULL)
    WHERE id > ? AND id <= ?"""
_COUNTS = """
    SELECT count(*) FILTER (WHERE confirmed IS NOT NULL),
           count(*) FILTER (WHERE wanted IS NOT NULL AND (blocked OR refused = wanted))
    FROM contacts"""
_DUE = """
    SELECT id, kind, key, last_seen, country, pageviews, wanted, confirmed, unanswered
    FROM contacts WHERE due AND id > ? ORDER BY id LIMIT ?"""
_DUE_IDS = "SELECT id FROM contacts WHERE due ORDER BY id"
_DUE_COUNT = "SELECT count(*) FROM contacts WHERE due"
_KINDS = {kind.value: kind for kind in ContactKind}
_NAMES = {kind: kind.value for kind in ContactKind}
_ANY_KIND, _KNOWN_ONLY = "WHERE due", "WHERE due AND kind = 'email'"


class LedgerCounts(NamedTuple):
    """Contacts that HubSpot holds as it confirmed them, that are due, and that wait as rejected."""

    confirmed: int
    due: int
    rejected: int


class Ledger:
    """The contacts of one HubSpot account, inside one transaction.

    ``anonymous`` says whether contacts without an address are to be delivered at all.
    """

    def __init__(self, statements: Statements, *, anonymous: bool) -> None:
        self._statements = statements
        self._anonymous = anonymous

    def by_key(self, keys: Collection[ContactKey]) -> dict[ContactKey, LedgerEntry]:
        rows = self._statements.among(_BY_KEY, {key.value for key in keys})
        return {entry.key: entry for entry in map(_entry, rows) if entry.key in keys}

    def by_id(self, ids: Collection[int]) -> dict[int, LedgerEntry]:
        return {entry.contact_id: entry for entry in map(_entry, self._statements.among(_BY_ID, ids))}

    def add(self, wanted: Sequence[tuple[Contact, bytes]]) -> list[DueContact]:
        """Insert contacts that nobody knew, due at once; their ids are dense from 1. Returns them."""
        if not wanted:
            return []
        first = (self._statements.value("SELECT max(id) FROM contacts") or 0) + 1
        self._statements.add_many(
            _ADD,
            (
                (
                    number,
                    _NAMES[contact.key.kind],
                    contact.key.value,
                    microseconds(contact.last_seen),
                    contact.country,
                    contact.pageviews,
                    fingerprint,
                )
                for number, (contact, fingerprint) in enumerate(wanted, first)
            ),
        )
        return [
            DueContact(number, contact, fingerprint, False, 0)  # noqa: FBT003 -- by name it takes twice as long
            for number, (contact, fingerprint) in enumerate(wanted, first)
        ]

    def want(self, changes: Iterable[tuple[LedgerEntry, Contact | None, bytes | None]]) -> dict[int, bool]:
        """Write what is wanted now, None for nothing. Returns whether each contact is to be delivered.

        A contact that was due may have been sent without a verdict: what HubSpot confirmed before is then
        no longer what it surely holds.
        """
        due = {}
        rows = []
        for entry, contact, fingerprint in changes:
            confirmed = b"" if entry.due and entry.confirmed is not None else entry.confirmed
            now_due = is_due(
                wanted=fingerprint, confirmed=confirmed, refused=entry.refused, blocked=entry.blocked
            )
            due[entry.contact_id] = now_due and (self._anonymous or entry.key.kind is EMAIL)
            facts = (
                (microseconds(contact.last_seen), contact.country, contact.pageviews)
                if contact
                else (None, None, None)
            )
            rows.append((*facts, fingerprint, confirmed, now_due, entry.contact_id))
        self._statements.change_many(_WANT, rows)
        return due

    def due(self, *, after: int, most: int) -> list[DueContact]:
        """Up to ``most`` due contacts with an id above ``after``, in the order of their ids."""
        return [_due_contact(row) for row in self._statements.rows(self._deliverable(_DUE), (after, most))]

    def due_ids(self) -> Iterator[int]:
        """The ids of all due contacts, ascending."""
        for (contact_id,) in self._statements.stream(self._deliverable(_DUE_IDS)):
            yield contact_id

    def due_count(self) -> int:
        count: int = self._statements.value(self._deliverable(_DUE_COUNT))
        return count

    def counts(self) -> LedgerCounts:
        """Reads the whole ledger: for ``status``, not for a run."""
        ((confirmed, rejected),) = self._statements.rows(_COUNTS)
        return LedgerCounts(confirmed, self.due_count(), rejected)

    def settle(self, answered: Sequence[tuple[Parcel, Verdict]]) -> set[int]:
        """Write down what HubSpot said of each parcel. Returns the ids of those that are due (again)."""
        taken = [
            (parcel.fingerprint, verdict.hubspot_id, parcel.contact_id)
            for parcel, verdict in answered
            if verdict.outcome in TAKEN
        ]
        self._statements.change_many(_CONFIRM, taken)
        ids = [contact_id for _, _, contact_id in taken]
        due_again = {contact_id for (contact_id,) in self._statements.among(_OUTDATED, ids)}
        self._statements.change_among(_DUE_AGAIN, due_again)
        return due_again | self._settle_others([each for each in answered if each[1].outcome not in TAKEN])

    def _settle_others(self, answered: Sequence[tuple[Parcel, Verdict]]) -> set[int]:
        """What HubSpot did not take. Returns the ids of those that are due."""
        ids = [parcel.contact_id for parcel, _ in answered]
        before = {row[0]: row for row in self._statements.among(_SAID, ids)}
        rows = [_refused(before[parcel.contact_id], parcel, verdict) for parcel, verdict in answered]
        self._statements.change_many(_SETTLE, rows)
        return {contact_id for _, _, _, due, _, contact_id in rows if due}

    def retry(self, contact_ids: Collection[int]) -> None:
        """Lift the rejections of these contacts."""
        rows = [
            (is_due(wanted=entry.wanted, confirmed=entry.confirmed, refused=None, blocked=False), contact_id)
            for contact_id, entry in self.by_id(contact_ids).items()
        ]
        self._statements.change_many(_RETRY, rows)

    def forget_confirmations(self, *, website: str | None = None) -> None:
        """Make every confirmed contact due again, as after a change of the property names.

        With ``website``, only those of its visitors.
        """
        if website is None:
            self._change_all(_FORGET, before=(b"",))
        else:
            self._change_all(_FORGET + _OF_WEBSITE, before=(b"",), after=(website,))

    def confirmed_count(self, *, website: str | None = None) -> int:
        """How many contacts ``forget_confirmations`` would have delivered once more."""
        query = _FORGETTABLE if self._anonymous else f"{_FORGETTABLE} AND kind = 'email'"
        if website is None:
            count: int = self._statements.value(query)
        else:
            count = self._statements.value(query + _OF_WEBSITE, (website,))
        return count

    def begin_anew(self) -> None:
        """Forget all that HubSpot ever said: this is another portal. Every contact is due."""
        self._change_all(_ANEW)

    def _change_all(
        self, statement: str, *, before: tuple[Any, ...] = (), after: tuple[Any, ...] = ()
    ) -> None:
        """Run ``statement`` over ranges of ids: one for a million takes longer than a statement may."""
        last = self._statements.value("SELECT max(id) FROM contacts") or 0
        for above in range(0, last, _FORGOTTEN_AT_ONCE):
            self._statements.change(statement, (*before, above, above + _FORGOTTEN_AT_ONCE, *after))

    def _deliverable(self, statement: str) -> str:
        """``statement`` for the contacts that may be delivered."""
        return statement if self._anonymous else statement.replace(_ANY_KIND, _KNOWN_ONLY)


@of_a_row
def _entry(row: Row) -> LedgerEntry:
    return LedgerEntry(
        contact_id=row[0],
        key=ContactKey(_KINDS[row[1]], row[2]),
        wanted=row[3],
        confirmed=row[4],
        refused=row[5],
        blocked=bool(row[6]),
        due=bool(row[7]),
    )


@of_a_row
def _due_contact(row: Row) -> DueContact:
    contact_id, kind, key, last_seen, country, pageviews, wanted, confirmed, unanswered = row
    if not (isinstance(key, str) and isinstance(country, str | None) and isinstance(pageviews, int | None)):
        raise TypeError
    contact = Contact(ContactKey(_KINDS[kind], key), instant(last_seen), country, pageviews)
    return DueContact(contact_id, contact, wanted, confirmed is not None, unanswered)


def _refused(before: Row, parcel: Parcel, verdict: Verdict) -> tuple[Any, ...]:
    """What a verdict other than a confirmation makes of a contact."""
    contact_id, wanted, confirmed, refused, blocked = before
    if verdict.outcome is REJECTED:
        refused, blocked = parcel.fingerprint, verdict.final
    unanswered = parcel.unanswered + verdict.unanswered if verdict.outcome is DEFERRED else 0
    due = is_due(wanted=wanted, confirmed=confirmed, refused=refused, blocked=bool(blocked))
    return (refused, bool(blocked), unanswered, due, verdict.hubspot_id, contact_id)
