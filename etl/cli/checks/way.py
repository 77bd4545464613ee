"""What both APIs have in common: how they are gone to, and for how long an answer is worth waiting."""

from __future__ import annotations

from etl.network.route import route_to
from etl.network.trust import roots
from etl.retry import Patience

BRIEF = Patience(attempts=2, total_s=40.0, longest_asked_s=20.0)


def way(url: str, api: str, setting: str) -> str:
    """How ``api`` is gone to. Raises SettingsError for a way that there is not; nothing is sent."""
    return f"{route_to(url, api=api, setting=setting)}; trusts {roots()}"
