"""Which portal the state belongs to."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import orjson

from etl.models.portal import Owner, Portal
from etl.state.failures import of_a_row

if TYPE_CHECKING:
    from etl.state.notebook import Notebook

_NAME = "owner"


class Ownership:
    """One note, inside one transaction."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    def owner(self) -> Owner | None:
        """None for a state that has met no portal so far."""
        said = self._notebook.mapping(_NAME)
        return _owner(said) if said else None

    def put(self, owner: Owner) -> None:
        self._notebook.put(_NAME, orjson.dumps(asdict(owner)).decode())

    def claim(self, account: int) -> None:
        """Have a HubSpot account be this state's alone; where no other state is known, it is."""

    def release(self) -> None:
        """Let the next portal have the state, whichever it is."""
        owner = self.owner()
        if owner is not None:
            self.put(replace(owner, released=True))


@of_a_row
def _owner(said: dict[str, Any]) -> Owner:
    portal = said["portal"]
    return Owner(**{**said, "portal": Portal(**portal) if portal else None})
