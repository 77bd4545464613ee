"""Who has the last word on a property: what may be written over what HubSpot holds. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OUR_PREFIX = "zenovay_"
"""Properties that begin so are made by this program; people have no reason to type into them."""


class Policy(StrEnum):
    """What is written of a field where HubSpot holds another value."""

    OVERWRITE = "overwrite"
    """Ours, always."""

    PROTECT = "protect"
    """Ours where the value is empty, or the one that this program wrote last."""

    FILL_EMPTY = "fill_empty"
    """Ours where the value is empty."""


class Ruling(StrEnum):
    """What becomes of a value that HubSpot shows."""

    EQUAL = "equal"
    """It is what we want, and stays."""

    FILL = "fill"
    """There is none: ours is written."""

    REPLACE = "replace"
    """Ours is written over it."""

    KEEP = "keep"
    """It stays, and ours gives way."""


def is_ours(property_name: str) -> bool:
    """Whether the property is one of this program's own."""
    return property_name.startswith(OUR_PREFIX)


def default_policy(property_name: str) -> Policy:
    """What holds where the settings do not say: what is not ours is protected."""
    return Policy.OVERWRITE if is_ours(property_name) else Policy.PROTECT


def ruling(
    policy: Policy, wish: str, held: str, *, ours: Iterable[str], same: Callable[[str, str], bool]
) -> Ruling:
    """What becomes of ``held``, "" for nothing; ``ours`` are the texts that may be of this program."""
    if same(wish, held):
        return Ruling.EQUAL
    if not held.strip():
        return Ruling.FILL
    if policy is Policy.OVERWRITE:
        return Ruling.REPLACE
    if policy is Policy.PROTECT and any(same(each, held) for each in ours):
        return Ruling.REPLACE
    return Ruling.KEEP
