"""How one portal of several is talked about: what its settings are called, and how its commands are called.

The sides and the core know the settings of a set-up by environment alone, and name them in their sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.errors import SyncError

_GROUPS = r"rejections(?: (?:list|retry))?|state(?: copy)?"
_COMMANDS = rf"backfill|check|explain|forget|resync|run|setup|status|undo|{_GROUPS}"
_CALL = re.compile(rf"\bvisitor-sync (?>{_COMMANDS})\b(?!-| --portal\b)(?<!run(?= --all\b))")


@dataclass(frozen=True, slots=True)
class Terms:
    """What stands for each variable of a set-up by environment; ``portal`` is none where none is declared."""

    portal: str = ""
    names: tuple[tuple[str, str], ...] = ()

    def say(self, text: str) -> str:
        """A sentence in these terms; one that is in them already stays as it is."""
        for variable, name in self.names:
            if variable in text:
                text = re.sub(rf"\b{variable}\b", lambda _, name=name: name, text)  # type: ignore[misc]
        if not self.portal or "visitor-sync " not in text:
            return text
        return _CALL.sub(lambda call: f"{call[0]} --portal {self.portal}", text)

    def tell(self, failure: SyncError) -> SyncError:
        """The ``failure`` itself, which says so from now on."""
        failure.what = self.say(failure.what)
        failure.fix = failure.fix and self.say(failure.fix)
        return failure


PLAIN = Terms()
ANY = Terms("NAME")
"""Where all portals are meant."""
