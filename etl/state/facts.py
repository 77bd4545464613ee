"""What is known of the synced fields, as the JSON that the state keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from etl.models.visitor import AT

if TYPE_CHECKING:
    from etl.models.visitor import Facts

_SCALARS = (str, int, float, bool)


def facts_text(facts: Facts) -> str:
    return orjson.dumps(facts).decode()


def facts_from(text: str) -> Facts:
    """The inverse of ``facts_text``. Raises TypeError and ValueError for what it cannot have made."""
    facts = orjson.loads(text)
    for name, value in facts.items():
        if type(value) not in _SCALARS or (name[-1:] == AT and type(value) is not int):
            raise TypeError(name)
    return dict(facts)
