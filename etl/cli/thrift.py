"""How a command treats the requests of the month."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thrift:
    """``keeps_reserve``: leave ZENOVAY_RESERVE for people. ``tries``: ask once even where the month is spent.

    ``most`` requests are allowed at all.
    """

    keeps_reserve: bool = False
    tries: bool = False
    most: int | None = None
