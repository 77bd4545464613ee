"""What visitors of whom only the id is known come to, and whether they cost money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.cli.checks.finding import NotCheckedError, Saw

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from etl.models.reading import Page

_MARKETING = (
    "a contact that this program made is a marketing contact, which costs money at once: switch that off for"
    " this app (HubSpot: Settings, Integrations, Marketing contacts)"
)


def strangers(
    mode: str, pages: Collection[Page], *, unread: str | None, costs_money: Callable[[], bool | None]
) -> Saw:
    """``mode`` is SYNC_ANONYMOUS, ``pages`` those of the last 24 hours.

    ``unread`` names the failed check for whose sake there are none; ``costs_money`` asks HubSpot whether a
    contact that we made is a marketing contact. Raises NotCheckedError.
    """
    if mode != "upsert":
        return Saw(f"no contact is made for visitors without an address (SYNC_ANONYMOUS={mode})")
    if not pages and unread:
        raise NotCheckedError(unread)
    valid = [visitor for page in pages for visitor in page.visitors]
    unknown = len({visitor.id for visitor in valid if not visitor.email})
    seen = (
        f"{unknown} visitors without an address in {len(valid)} rows of the last 24 hours: each gets a"
        " contact of its own, so many a day at least; SYNC_ANONYMOUS=match or skip makes none"
    )
    return Saw(seen, _MARKETING if costs_money() else None)
