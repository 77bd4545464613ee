"""What HubSpot says of whose visitor id is whose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from etl.models.contact import ContactKey


class Link(NamedTuple):
    """That a visitor belongs to a record, ``since`` an instant of HubSpot's clock."""

    visitor_id: str
    record: str
    since: datetime


class ShownRecord(NamedTuple):
    """A record as HubSpot's search shows it: the visitor id that it has now, and when it was changed last."""

    record: str
    value: str | None
    modified: datetime


@dataclass(frozen=True, slots=True)
class LinkPage:
    """Some records whose links may have changed.

    ``read_to``, by HubSpot's clock: all that changed before it came on this page or an earlier one.
    """

    records: tuple[ShownRecord, ...]
    read_to: datetime | None


@dataclass(frozen=True, slots=True)
class LinkedRecord:
    """A record and all the links that it has, the earlier ones too; ``keys`` lead to it as well."""

    record: str
    links: tuple[Link, ...] = ()
    keys: tuple[ContactKey, ...] = ()
