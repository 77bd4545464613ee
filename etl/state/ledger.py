"""The contacts table: per contact what HubSpot should hold, and what it confirmed or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, insert, select, true, update

from etl.models import Contact, ContactKey, ContactKind, DueContact, LedgerEntry, Outcome
from etl.state.tables import contacts
from etl.transform import is_due

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from etl.models import Parcel, Verdict

_ENTRY = (
    contacts.c.id,
    contacts.c.kind,
    contacts.c.key,
    contacts.c.wanted,
    contacts.c.confirmed,
    contacts.c.refused,
    contacts.c.blocked,
    contacts.c.due,
)
_BY_KEY = select(*_ENTRY).where(contacts.c.key.in_(bindparam("keys", expanding=True)))
_BY_ID = select(*_ENTRY).where(contacts.c.id.in_(bindparam("ids", expanding=True)))
_DUE = (
    select(
        contacts.c.id,
        contacts.c.kind,
        contacts.c.key,
        contacts.c.last_seen,
        contacts.c.country,
        contacts.c.pageviews,
        contacts.c.wanted,
        contacts.c.confirmed,
        contacts.c.alone,
    )
    .where(contacts.c.due, contacts.c.id > bindparam("after"))
    .order_by(contacts.c.id)
    .limit(bindparam("most"))
)
_WANT = (
    update(contacts)
    .where(contacts.c.id == bindparam("of"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("last_seen", "country", "pageviews", "wanted", "confirmed", "due")
        }
    )
)
_SETTLE = (
    update(contacts)
    .where(contacts.c.id == bindparam("of"))
    .values(
        {name: bindparam(f"new_{name}") for name in ("confirmed", "refused", "blocked", "alone", "due")}
        | {"hubspot_id": func.coalesce(bindparam("new_hubspot_id"), contacts.c.hubspot_id)}
    )
)


class LedgerCounts(NamedTuple):
    """Contacts that HubSpot holds as it confirmed them, that are due, and that wait as rejected."""

    confirmed: int
    due: int
    rejected: int


class Ledger:
    """The contacts of one HubSpot account, inside one transaction.

    ``anonymous`` says whether contacts without an address are to be delivered at all.
    """

    def __init__(self, connection: Connection, *, anonymous: bool) -> None:
        self._connection = connection
        self._anonymous = anonymous
        self._deliverable: ColumnElement[bool] = true() if anonymous else contacts.c.kind == ContactKind.EMAIL

    def by_key(self, keys: Collection[ContactKey]) -> dict[ContactKey, LedgerEntry]:
        rows = self._connection.execute(_BY_KEY, {"keys": list({key.value for key in keys})})
        entries = (_entry(row) for row in rows)
        return {entry.key: entry for entry in entries if entry.key in keys}

    def by_id(self, ids: Collection[int]) -> dict[int, LedgerEntry]:
        rows = self._connection.execute(_BY_ID, {"ids": list(ids)})
        return {entry.contact_id: entry for entry in map(_entry, rows)}

    def add(self, wanted: Sequence[tuple[Contact, bytes]]) -> dict[ContactKey, int]:
        """Insert contacts that nobody knew, due at once. Returns their ids, which are dense from 1."""
        if not wanted:
            return {}
        first = (self._connection.execute(select(func.max(contacts.c.id))).scalar() or 0) + 1
        rows = [
            {
                "id": number,
                "kind": contact.key.kind.value,
                "key": contact.key.value,
                "blocked": False,
                "alone": False,
                "due": True,
                "last_seen": contact.last_seen,
                "country": contact.country,
                "pageviews": contact.pageviews,
                "wanted": fingerprint,
            }
            for number, (contact, fingerprint) in enumerate(wanted, first)
        ]
        self._connection.execute(insert(contacts), rows)
        return {contact.key: number for number, (contact, _) in enumerate(wanted, first)}

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
            due[entry.contact_id] = now_due and (self._anonymous or entry.key.kind is ContactKind.EMAIL)
            rows.append(
                {
                    "of": entry.contact_id,
                    "new_last_seen": contact and contact.last_seen,
                    "new_country": contact and contact.country,
                    "new_pageviews": contact and contact.pageviews,
                    "new_wanted": fingerprint,
                    "new_confirmed": confirmed,
                    "new_due": now_due,
                }
            )
        if rows:
            self._connection.execute(_WANT, rows)
        return due

    def due(self, *, after: int, most: int) -> list[DueContact]:
        """Up to ``most`` due contacts with an id above ``after``, in the order of their ids."""
        rows = self._connection.execute(_DUE.where(self._deliverable), {"after": after, "most": most})
        return [
            DueContact(
                contact_id=row.id,
                contact=Contact(
                    ContactKey(ContactKind(row.kind), row.key), row.last_seen, row.country, row.pageviews
                ),
                fingerprint=row.wanted,
                known=row.confirmed is not None,
                alone=row.alone,
            )
            for row in rows
        ]

    def due_ids(self) -> Iterator[int]:
        """The ids of all due contacts, ascending."""
        query = select(contacts.c.id).where(contacts.c.due, self._deliverable).order_by(contacts.c.id)
        yield from self._connection.scalars(query, execution_options={"yield_per": 10_000})

    def due_count(self) -> int:
        query = select(func.count()).select_from(contacts).where(contacts.c.due, self._deliverable)
        return self._connection.execute(query).scalar_one()

    def counts(self) -> LedgerCounts:
        """Reads the whole ledger: for ``status``, not for a run."""
        held = contacts.c.confirmed.is_not(None)
        refused = contacts.c.wanted.is_not(None) & (
            contacts.c.blocked | (contacts.c.refused == contacts.c.wanted)
        )
        query = select(func.count().filter(held), func.count().filter(refused)).select_from(contacts)
        confirmed, rejected = self._connection.execute(query).one()
        return LedgerCounts(confirmed, self.due_count(), rejected)

    def settle(self, verdicts: Iterable[Verdict], parcels: Mapping[int, Parcel]) -> dict[int, bool]:
        """Write down what HubSpot said of each parcel. Returns whether each contact is due (again)."""
        said = list(verdicts)
        entries = self.by_id([verdict.contact_id for verdict in said])
        rows = [
            _settled(entries[verdict.contact_id], verdict, parcels[verdict.contact_id]) for verdict in said
        ]
        if rows:
            self._connection.execute(_SETTLE, rows)
        return {row["of"]: row["new_due"] for row in rows}

    def retry(self, contact_ids: Collection[int]) -> None:
        """Lift the rejections of these contacts."""
        for entry in self.by_id(contact_ids).values():
            due = is_due(wanted=entry.wanted, confirmed=entry.confirmed, refused=None, blocked=False)
            self._connection.execute(
                update(contacts)
                .where(contacts.c.id == entry.contact_id)
                .values(refused=None, blocked=False, due=due)
            )

    def forget_confirmations(self) -> None:
        """Make every confirmed contact due again, as after a change of the property names."""
        unrefused = contacts.c.refused.is_(None) | (contacts.c.refused != contacts.c.wanted)
        self._connection.execute(
            update(contacts)
            .where(contacts.c.wanted.is_not(None), contacts.c.confirmed.is_not(None), ~contacts.c.blocked)
            .values(confirmed=b"", due=unrefused)
        )


def _entry(row: Any) -> LedgerEntry:
    return LedgerEntry(
        contact_id=row.id,
        key=ContactKey(ContactKind(row.kind), row.key),
        wanted=row.wanted,
        confirmed=row.confirmed,
        refused=row.refused,
        blocked=row.blocked,
        due=row.due,
    )


def _settled(entry: LedgerEntry, verdict: Verdict, parcel: Parcel) -> dict[str, Any]:
    confirmed, refused, blocked = entry.confirmed, entry.refused, entry.blocked
    if verdict.outcome in (Outcome.CREATED, Outcome.UPDATED):
        confirmed, refused, blocked = parcel.fingerprint, None, False
    elif verdict.outcome is Outcome.REJECTED:
        refused, blocked = parcel.fingerprint, verdict.final
    return {
        "of": entry.contact_id,
        "new_confirmed": confirmed,
        "new_refused": refused,
        "new_blocked": blocked,
        "new_alone": verdict.alone if verdict.outcome is Outcome.DEFERRED else False,
        "new_due": is_due(wanted=entry.wanted, confirmed=confirmed, refused=refused, blocked=blocked),
        "new_hubspot_id": verdict.hubspot_id,
    }
