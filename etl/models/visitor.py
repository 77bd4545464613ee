"""A row of the source: a visitor, or a rejection.

What is made for every row and contact is a named tuple, here and beside: a frozen dataclass takes twice as
long to make and ten times as long to compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

Value = str | int | float | bool
"""A fact, as the state keeps it: instants are microseconds since 1970, countries ISO 3166-1 alpha-2 codes."""

Facts = dict[str, Value]
"""What is known of the synced fields, by their names: JSON. Never changed once it is made."""

AT = "@"
"""``city@`` is the instant of the row that stated ``city``, where that is not the one of ``last_seen``."""


class Visitor(NamedTuple):
    """A valid row, or several rows of one visitor id merged.

    The address and the opt-out carry the instant of the row that stated them (``…_at``), so that merging does
    not depend on the order of rows. ``opted_out`` is None until a row says something explicit. ``excluded``
    says that the settings leave it out: then it has neither facts nor an address.
    """

    id: str
    last_seen: datetime
    facts: Facts
    email: str | None = None
    email_at: datetime | None = None
    opted_out: bool | None = None
    opted_out_at: datetime | None = None
    excluded: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was refused. ``digest`` identifies the row's exact content, ``key`` names it to a person."""

    key: str
    reason: str
    code: str
    digest: bytes
