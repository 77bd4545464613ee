"""What the state holds of whom a key leads to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from etl.models.contact import ContactKind, LedgerEntry
    from etl.models.link import Link
    from etl.models.verdict import RefusedThing
    from etl.models.visitor import Facts, Visitor


class Standing(NamedTuple):
    """Where a contact stands. ``facts`` are those that are wanted, None where it is wanted no more.

    ``gone``: its record was there once. ``absent_at`` is when nobody was found that it is.
    """

    entry: LedgerEntry
    facts: Facts | None
    gone: bool
    absent_at: datetime | None


class Met(NamedTuple):
    """A visitor on a website, the contact that it belongs to, and the record that it is linked to."""

    website: str
    visitor: Visitor
    contact_id: int | None
    linked_to: str | None


@dataclass(frozen=True, slots=True)
class Dossier:
    """``kinds`` are what the state knows ``key`` as, ``contact`` is the one that it leads to.

    ``members`` belong to that contact; ``strays`` are other visitors that the key is of. ``others`` are
    further contacts that it leads to, or that strays belong to, by their ids. Since the last run the
    properties of ``renamed`` fields have other names, and ``reruled`` properties other policies. Visitors
    last seen before ``pruned_to`` are not kept.
    """

    key: str
    kinds: tuple[ContactKind, ...] = ()
    contact: Standing | None = None
    members: tuple[Met, ...] = ()
    strays: tuple[Met, ...] = ()
    others: Mapping[int, Standing] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    rejections: tuple[RefusedThing, ...] = ()
    forgotten: bool = False
    renamed: frozenset[str] = frozenset()
    reruled: frozenset[str] = frozenset()
    pruned_to: datetime | None = None
