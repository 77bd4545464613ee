"""What the program remembers of the set-up, by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import delete, select, update

from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, overwritten, value

if TYPE_CHECKING:
    from etl.state.held import Held
    from etl.state.statements import Statements

_T, _C = tables.facts, tables.facts.c
_IS_NAMED = _C.name == value("noted_as")
_GET = Prepared(lambda _: select(_C.value).where(_IS_NAMED))
_ALL = Prepared(lambda _: select(_C.name, _C.value))
_ADD = Insertion(_T, "name", "value")
_CHANGE = Prepared(lambda _: update(_T).values(overwritten("value")).where(_IS_NAMED))
_DROP = Prepared(lambda _: delete(_T).where(_IS_NAMED))


@of_a_row
def _text_or_none(value: object) -> str | None:
    if isinstance(value, str | None):
        return value
    raise TypeError


@of_a_row
def _instant_or_none(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


@of_a_row
def _mapping(text: str | None) -> dict[str, Any]:
    return dict(orjson.loads(text or "{}").items())


class Notebook:
    """What the program has noted about the set-up: named texts, inside one transaction.

    What is ``held`` is not read again, and not written where that would change nothing.
    """

    def __init__(self, statements: Statements, held: Held | None = None) -> None:
        self._statements = statements
        self._held = held

    def get(self, name: str) -> str | None:
        held = self._notes()
        return _text_or_none(self._statements.value(_GET, noted_as=name) if held is None else held.get(name))

    def instant(self, name: str) -> datetime | None:
        """What was put there as ISO 8601."""
        return _instant_or_none(self.get(name))

    def mapping(self, name: str) -> dict[str, Any]:
        """What was put there as a JSON object; empty where nothing was."""
        return _mapping(self.get(name))

    def put(self, name: str, value: str) -> None:
        held = self._notes()
        if held is not None and held.get(name) == value:
            return
        if held is not None:
            held[name] = value
        self._note_change()
        if self._statements.change(_CHANGE, new_value=value, noted_as=name) == 0:
            self._statements.add(_ADD, name, value)

    def drop(self, name: str) -> None:
        held = self._notes()
        if held is not None and name not in held:
            return
        if held is not None:
            del held[name]
        self._note_change()
        self._statements.change(_DROP, noted_as=name)

    def _note_change(self) -> None:
        if self._held:
            self._held.is_changed = True

    def _notes(self) -> dict[str, object] | None:
        """All that are held; None where nothing is."""
        if self._held is None:
            return None
        if self._held.notes is None:
            self._held.notes = dict(self._statements.rows(_ALL))
        return self._held.notes
