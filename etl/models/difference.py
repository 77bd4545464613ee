"""What a dry run would do to one contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from etl.models.contact import ContactKind

Action = Literal["create", "update", "keep", "unchanged", "absent", "gone", "refused", "deferred"]
"""``unchanged``: HubSpot holds all of it already."""


class ValueChange(NamedTuple):
    """A property: what HubSpot holds, what we want there, and what we wrote last; None for nothing.

    ``kept``: what HubSpot holds stays. ``by_people``: it is not what we wrote last.
    """

    property: str
    old: str | None
    new: str
    last: str | None
    kept: bool
    by_people: bool


class Difference(NamedTuple):
    """``changes`` are the properties that HubSpot holds otherwise than we want them."""

    key: str
    kind: ContactKind
    record: str | None
    action: Action
    changes: tuple[ValueChange, ...]
    reason: str | None = None

    def as_object(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "kind": self.kind.value,
            "changes": [each._asdict() for each in self.changes],
        }
