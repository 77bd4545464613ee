"""Facts of visitors and texts of properties, as the JSON that the state keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from etl.models.contact import NOTHING_WRITTEN, Written
from etl.models.visitor import AT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.models.contact import Texts
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


def texts_text(texts: Mapping[str, str]) -> str | None:
    """The texts of properties; None for none."""
    return orjson.dumps(dict(texts)).decode() if texts else None


def texts_from(text: str | None) -> Texts:
    """The inverse of ``texts_text``. Raises TypeError and ValueError for what it cannot have made."""
    return _texts(orjson.loads(text)) if text else {}


def written_from(last: str | None, maybe: str | None, kept: str | None, kept_at: int | None) -> Written:
    """What is remembered of the writing to a record. Raises as ``texts_from``."""
    if last is maybe is kept is None:
        return NOTHING_WRITTEN
    doubtful = tuple(map(_texts, orjson.loads(maybe))) if maybe else ()
    return Written(texts_from(last), doubtful, texts_from(kept), kept_at)


def maybe_text(doubtful: tuple[Mapping[str, str], ...]) -> str | None:
    """The lists of texts that HubSpot may hold; None for none."""
    listed = [dict(texts) for texts in doubtful if texts]
    return orjson.dumps(listed).decode() if listed else None


def _texts(found: object) -> Texts:
    if not isinstance(found, dict) or not all(type(text) is str for text in found.values()):
        raise TypeError(found)
    return found
