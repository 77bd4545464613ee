"""What a page, or a change of links, means for contacts: decided from what is known, without a database."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from etl import transform
from etl.models.contact import RECORD, VISITOR

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from etl.fields import SyncedFields
    from etl.models.contact import Contact, ContactKey, KnownVisitor, LedgerEntry, Member
    from etl.models.visitor import Facts, Visitor


class Change(NamedTuple):
    """A visitor, what leads to its contact, None where HubSpot is not to hear of it, and what was known."""

    visitor: Visitor
    key: ContactKey | None
    before: KnownVisitor | None


class Merged(NamedTuple):
    """A page's visitors, merged with what was known of them, and which of them are wanted."""

    visitors: Mapping[str, Visitor]
    wanted: Mapping[str, ContactKey]
    changes: Sequence[Change]

    def kinds(self, rows: Iterable[Visitor]) -> Counter[str]:
        """How many of ``rows`` are accepted, excluded, opted_out and anonymous."""
        return Counter(self._kind(row.id) for row in rows)

    def _kind(self, visitor_id: str) -> str:
        if visitor_id in self.wanted:
            return "accepted"
        visitor = self.visitors[visitor_id]
        if visitor.excluded:
            return "excluded"
        return "opted_out" if visitor.opted_out else "anonymous"


Wanted = tuple["LedgerEntry", "Contact | None", "bytes | None"]
"""A contact of the ledger, what HubSpot should hold of it, and its fingerprint; None twice for nobody."""


class Decision(NamedTuple):
    """``added`` are contacts that nobody knew, ``renewed`` those of the ledger, computed again.

    Each with the fingerprint of what HubSpot should hold.
    """

    added: list[tuple[Contact, bytes]]
    renewed: list[Wanted]


def merged(
    known: Mapping[str, KnownVisitor],
    rows: Sequence[Visitor],
    *,
    links: Mapping[str, str],
    anonymous: bool,
    synced: SyncedFields,
) -> Merged:
    """``rows`` on top of what was ``known`` of their visitors. ``links`` are the records of linked ones."""
    visitors = transform.merge_all({key: found.visitor for key, found in known.items()}, rows, synced)
    wanted: dict[str, ContactKey] = {}
    changes: list[Change] = []
    for name, visitor in visitors.items():
        before, linked_to = known.get(name), links.get(name)
        key = transform.wanted_key(visitor, anonymous=anonymous, linked_to=linked_to)
        if key is not None:
            wanted[name] = key
        if before is None or before.visitor != visitor or _key_before(before, linked_to) != key:
            changes.append(Change(visitor, key, before))
    return Merged(visitors, wanted, changes)


def _key_before(before: KnownVisitor, linked_to: str | None) -> ContactKey | None:
    """What led to the visitor's contact: links that change are followed at once."""
    return None if before.contact_id is None else transform.contact_key(before.visitor, linked_to)


def gaining(changes: Iterable[Change]) -> set[ContactKey]:
    """What leads to the contacts that a change belongs to."""
    return {change.key for change in changes if change.key}


def losing(changes: Iterable[Change]) -> set[int]:
    """The contacts that changed visitors belonged to."""
    return {
        change.before.contact_id
        for change in changes
        if change.before and change.before.contact_id is not None
    }


def promotions(homes: Mapping[ContactKey, LedgerEntry]) -> list[tuple[LedgerEntry, ContactKey]]:
    """Contacts that only a visitor id led to, and the link that says more of who they are."""
    return [(home, key) for key, home in homes.items() if key.kind is RECORD and home.key.kind is VISITOR]


def decide(
    changes: Iterable[Change],
    *,
    website_id: int,
    homes: Mapping[ContactKey, LedgerEntry],
    entries: Iterable[LedgerEntry],
    members: Mapping[int, Collection[Member]],
    synced: SyncedFields,
) -> Decision:
    """The contacts that ``changes`` make or change.

    ``homes`` are those of the ledger that a key leads to, ``entries`` all that gain or lose a visitor, and
    ``members`` their visitors before the changes.
    """
    joining: defaultdict[int | ContactKey, list[Visitor]] = defaultdict(list)
    moved: set[tuple[int, str]] = set()
    for change in changes:
        moved.add((website_id, change.visitor.id))
        if change.key:
            home = homes.get(change.key)
            joining[home.contact_id if home else change.key].append(change.visitor)
    renewed: list[Wanted] = []
    for entry in entries:
        staying = [
            member.visitor
            for member in members.get(entry.contact_id, ())
            if (member.website_id, member.visitor.id) not in moved
        ]
        visitors = staying + joining.pop(entry.contact_id, [])
        renewed.append((entry, *wanted(entry.key, visitors, synced, remains=entry.remains)))
    added = []
    for key, visitors in joining.items():
        assert not isinstance(key, int)  # noqa: S101 -- for mypy: the ledger's were taken out
        contact = transform.contact(key, visitors, synced)
        added.append((contact, transform.fingerprint(contact)))
    return Decision(added, renewed)


def wanted(
    key: ContactKey, visitors: Collection[Visitor], synced: SyncedFields, *, remains: Facts | None
) -> tuple[Contact, bytes] | tuple[None, None]:
    """What HubSpot should hold of a contact of the ledger, and its fingerprint; None twice for nobody."""
    if not visitors and not remains:
        return None, None
    contact = transform.contact(key, visitors, synced, remains=remains)
    return contact, transform.fingerprint(contact)
