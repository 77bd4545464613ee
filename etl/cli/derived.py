"""What follows from the settings alone, without opening anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.state.limits import account
from etl.state.urls import default_url, parse_url, place

if TYPE_CHECKING:
    from datetime import timedelta

    from etl.settings import Settings, SyncSettings
    from etl.state.store import Transaction


def state_url(settings: SyncSettings) -> str:
    return settings.state_url or default_url()


def state_place(settings: SyncSettings) -> str:
    """Where the state is, as people may see it."""
    return place(parse_url(state_url(settings)))


def state_title(settings: SyncSettings, state: Transaction | None) -> str:
    """Where the state is, and whether it is there, for people."""
    where = f"state: {state_place(settings)}"
    if state is None:
        return f"{where}, not there yet"
    if state.older:
        return f"{where}, made by an older version ({state.older}); the next run upgrades it"
    return where


def days(span: timedelta) -> str:
    """``span`` in words: whole days, else hours."""
    hours = round(span.total_seconds() / 3600)
    count, unit = (hours // 24, "day") if hours and hours % 24 == 0 else (hours, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"


def accounts(settings: Settings) -> dict[str, str]:
    """A name for our account at each API."""
    return {
        "zenovay": account(settings.zenovay.api_key.get_secret_value()),
        "hubspot": account(settings.hubspot.access_token.get_secret_value()),
    }
