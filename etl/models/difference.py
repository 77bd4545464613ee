"""What a dry run would do to one contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from etl.models.contact import ContactKind

Action = Literal["create", "update", "keep", "unchanged", "absent", "gone", "refused", "deferred"]
"""``keep``: nothing would change, and what is otherwise stays so. ``unchanged``: HubSpot holds all of it."""


class ValueChange(NamedTuple):
    """A property: what HubSpot holds, what we want there, and what we wrote last; None for nothing.

    ``kept``: what HubSpot holds stays. ``by_people``: it is not what we wrote last. ``policy`` is the word of
    the settings for what may be written over, which an undo does not ask.
    """

    property: str
    old: str | None
    new: str
    last: str | None
    kept: bool
    by_people: bool
    policy: str | None = None


class Difference(NamedTuple):
    """``changes`` are the properties that HubSpot holds otherwise than we want them.

    ``record`` is None for one that is not there yet. ``refused_before`` is why HubSpot refused the contact
    when its facts were others.
    """

    key: str
    kind: ContactKind
    record: str | None
    action: Action
    changes: tuple[ValueChange, ...]
    reason: str | None = None
    refused_before: str | None = None

    @property
    def changes_hubspot(self) -> bool:
        """Whether HubSpot would hold something else than now."""
        return self.action in ("create", "update")

    def as_object(self) -> dict[str, Any]:
        return {
            **self._asdict(),
            "kind": self.kind.value,
            "changes": [each._asdict() for each in self.changes],
        }
