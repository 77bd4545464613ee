"""What a page changes: decided from what is known, without a database."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from etl import transform

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from etl.fields import SyncedFields
    from etl.models.contact import Contact, ContactKey, KnownVisitor, LedgerEntry, Member
    from etl.models.visitor import Visitor


class Change(NamedTuple):
    """A visitor and its contact, None where HubSpot is not to hear of it, now and before. They differ."""

    visitor: Visitor
    key: ContactKey | None
    before: KnownVisitor | None


class Merged(NamedTuple):
    """A page's visitors, merged with what was known of them, and the contacts of those that are wanted."""

    visitors: Mapping[str, Visitor]
    wanted: Mapping[str, ContactKey]
    changes: Sequence[Change]

    def kinds(self, rows: Iterable[Visitor]) -> Counter[str]:
        """How many of ``rows`` are accepted, opted_out and anonymous."""
        return Counter(
            "accepted"
            if row.id in self.wanted
            else "opted_out"
            if self.visitors[row.id].opted_out
            else "anonymous"
            for row in rows
        )

    def gaining(self) -> set[ContactKey]:
        """The contacts that a change belongs to."""
        return {change.key for change in self.changes if change.key}

    def losing(self) -> set[int]:
        """The contacts that a visitor leaves."""
        return {
            change.before.contact_id
            for change in self.changes
            if change.before and change.before.contact_id is not None and change.before.key != change.key
        }


class Decision(NamedTuple):
    """``added`` are contacts that nobody knew, ``renewed`` those of the ledger, computed again.

    Each with the fingerprint of what HubSpot should hold; None twice for whom nobody belongs to any more.
    """

    added: list[tuple[Contact, bytes]]
    renewed: list[tuple[LedgerEntry, Contact | None, bytes | None]]


def merged(
    known: Mapping[str, KnownVisitor],
    rows: Sequence[Visitor],
    *,
    anonymous: bool,
    synced: SyncedFields,
) -> Merged:
    """``rows`` on top of what was ``known`` of their visitors."""
    visitors = transform.merge_all({key: found.visitor for key, found in known.items()}, rows, synced)
    wanted: dict[str, ContactKey] = {}
    changes: list[Change] = []
    for name, visitor in visitors.items():
        key, before = None, known.get(name)
        if transform.is_wanted(visitor, anonymous=anonymous):
            key = wanted[name] = transform.contact_key(visitor)
        if before is None or before.visitor != visitor or before.key != key:
            changes.append(Change(visitor, key, before))
    return Merged(visitors, wanted, changes)


def decide(
    changes: Iterable[Change],
    *,
    website_id: int,
    entries: Collection[LedgerEntry],
    members: Mapping[int, Collection[Member]],
    synced: SyncedFields,
) -> Decision:
    """The contacts that ``changes`` make or change.

    ``entries`` are those that the ledger has, ``members`` their visitors before the changes.
    """
    joining: defaultdict[ContactKey, list[Visitor]] = defaultdict(list)
    moved: set[tuple[int, str]] = set()
    for change in changes:
        moved.add((website_id, change.visitor.id))
        if change.key:
            joining[change.key].append(change.visitor)
    renewed: list[tuple[LedgerEntry, Contact | None, bytes | None]] = []
    for entry in entries:
        staying = [
            member.visitor
            for member in members.get(entry.contact_id, ())
            if (member.website_id, member.visitor.id) not in moved
        ]
        visitors = staying + joining.pop(entry.key, [])
        renewed.append((entry, *_wanted(entry.key, visitors, synced)) if visitors else (entry, None, None))
    return Decision([_wanted(key, visitors, synced) for key, visitors in joining.items()], renewed)


def _wanted(key: ContactKey, visitors: Collection[Visitor], synced: SyncedFields) -> tuple[Contact, bytes]:
    contact = transform.contact(key, visitors, synced)
    return contact, transform.fingerprint(contact)
