"""Names that users give: whether they can be used, and which known one is meant."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,99}")
_FOREIGN_PROPERTY = re.compile(r"hs_|hubspot_|ip_|email$|hs$|lastmodifieddate$|createdate$")
SECRETS = ("zv_", "pat-")
"""What secrets of Zenovay and of HubSpot begin with."""

_KEY = re.compile(rf"(?!{'|'.join(SECRETS)})[a-z_][a-z0-9_-]{{0,59}}", re.IGNORECASE)


def shown(key: str) -> str:
    """A key of a table as it may be shown: a secret may have been written in its place."""
    return key if _KEY.fullmatch(key) else "<not shown, as it may be a secret>"


def checked_property(value: str) -> str:
    """The name of a property that this program may write. Raises ValueError, which says what is wrong."""
    if not _PROPERTY.fullmatch(value):
        raise ValueError("must be a HubSpot property name: lower-case letters, digits and underscores")
    if _FOREIGN_PROPERTY.match(value):
        raise ValueError("names a property that belongs to HubSpot")
    return value


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word that is most like ``word``."""
    return get_close_matches(word, known, n=1, cutoff=0.0)[0]
