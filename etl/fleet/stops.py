"""The rows of the limits, by what they are of, and until when the stops in them last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from etl.fleet.tables import limits

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_L = limits.c
_LAST = func.max(_L.stopped_until, type_=_L.stopped_until.type)


def key_row(key: str) -> str:
    return f"zenovay/{key}"


def portal_row(portal: str) -> str:
    return f"hubspot/{portal}"


def search_row(portal: str) -> str:
    return f"search/{portal}"


def stopped_until(connection: Connection, *, key: str, portal: str, now: datetime) -> datetime | None:
    """The end of the last stop that is known of a key or a portal, be it over; None where there is none."""
    names = (key_row(key), portal_row(portal))
    return connection.execute(select(_LAST).where(_L.name.in_(names), _L.stop_made <= now)).scalar()
