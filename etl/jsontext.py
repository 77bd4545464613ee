"""JSON in and out: fast on what is well-formed, tolerant of what Python's own parser accepts."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parse(body: bytes) -> Any:
    """The value in ``body``. Raises ValueError where it is not JSON.

    orjson refuses a body for one unpaired surrogate in one text; the standard library reads it, and the
    row that holds it can then be refused alone.
    """
    try:
        return orjson.loads(body)
    except ValueError:
        return json.loads(body)


def written(value: Any) -> bytes:
    """``value`` as JSON, an unpaired surrogate too."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def canonical(value: Any) -> bytes:
    """The same bytes for equal values, whatever the order of keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, sort_keys=True).encode()
