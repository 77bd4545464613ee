"""What a run did, as it can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.models.contact import ContactKey
    from etl.models.verdict import Outcome


class Deed(NamedTuple):
    """What a run did to a contact. ``before`` are the texts that it replaced, ``after`` those it wrote there.

    ``record`` is the one that it was then, ``times`` is how often. ``before`` is what HubSpot showed, or what
    this program remembered of it: the same as ``after`` for what was only written once more.
    """

    contact_id: int
    key: ContactKey
    record: str | None
    outcome: Outcome
    times: int
    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def changed(self) -> list[str]:
        """The properties that hold another text since."""
        return [name for name, text in self.after.items() if self.before.get(name) != text]
