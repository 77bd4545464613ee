"""Which portal the state belongs to."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import orjson

from etl.models.portal import Owner, Portal

if TYPE_CHECKING:
    from etl.state.limits import Facts

_NAME = "owner"


class Ownership:
    """One fact, inside one transaction."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def owner(self) -> Owner | None:
        """None for a state that has met no portal so far."""
        text = self._facts.get(_NAME)
        if text is None:
            return None
        said = orjson.loads(text)
        portal = said.pop("portal")
        return Owner(**said, portal=Portal(**portal) if portal else None)

    def put(self, owner: Owner) -> None:
        self._facts.put(_NAME, orjson.dumps(asdict(owner)).decode())

    def release(self) -> None:
        """Let the next portal have the state, whichever it is."""
        owner = self.owner()
        if owner is not None:
            self.put(replace(owner, released=True))
