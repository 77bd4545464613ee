"""What the schedule costs, told to people and to programs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from etl.models.summary import utc_text
from etl.schedule import MONTH, OBSERVED, advise

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from etl.models.reading import Quota
    from etl.schedule import Advice
    from etl.state.store import Transaction

_UNOBSERVED = "No schedule was observed yet. One request every 5 minutes is 8640 a month for each website."


class Plan(Protocol):
    """The settings that say what the Zenovay plan allows."""

    @property
    def requests_per_month(self) -> int: ...
    @property
    def reserve(self) -> float: ...


def cost(advice: Advice, quota: Quota | None) -> str:
    """A sentence on what a month costs, whether the plan suffices, and for which interval it would."""
    used = f" {quota.used} are used, until {utc_text(quota.resets_at)}." if quota else ""
    if advice.fits:
        verdict = "That fits the plan."
    else:
        verdict = f"That is more than the {advice.allowed} that the plan has for it."
    shortest = f"every {_span(advice.shortest)}" if advice.shortest else "none"
    return (
        f"Runs every {_span(advice.interval)} cost about {advice.per_month} requests to Zenovay a month."
        f" {verdict}{used} The shortest interval that fits: {shortest}."
    )


def warning(advice: Advice, quota: Quota, now: datetime) -> str:
    """That the requests of this month will be spent before it ends. ``now`` is the API's clock."""
    left = max(0, advice.allowed - quota.used)
    spent_at = min(now + MONTH * left / advice.per_month, quota.resets_at)
    return (
        f"The month's requests to Zenovay will not last: {quota.used} of {advice.allowed} are used, the rest"
        f" about {utc_text(spent_at.replace(microsecond=0))}, and the month ends at"
        f" {utc_text(quota.resets_at)}. {cost(advice, None)}"
    )


def observed(state: Transaction, names: Iterable[str], plan: Plan, now: datetime) -> Advice | None:
    """What the runs of the last days say of the websites ``names``. ``now`` is our clock."""
    quota = state.limits.latest_quota("zenovay")
    ahead = quota.ahead if quota else timedelta(0)
    since = now + ahead - OBSERVED
    limit = (quota and quota.limit) or plan.requests_per_month
    websites = [state.runs.requests(name, since=since, ahead=ahead) for name in names]
    return advise(websites, limit=limit, reserve=plan.reserve)


def sentence(advice: Advice | None, quota: Quota | None) -> str:
    return cost(advice, quota) if advice else _UNOBSERVED


def as_object(advice: Advice | None, quota: Quota | None) -> dict[str, Any]:
    """For ``--json``: seconds, and requests a month; ``says`` is the same in words."""
    shortest = advice.shortest if advice else None
    return {
        "interval_s": advice and round(advice.interval.total_seconds()),
        "requests_per_month": advice and advice.per_month,
        "allowed_per_month": advice and advice.allowed,
        "fits": advice and advice.fits,
        "shortest_interval_s": shortest and round(shortest.total_seconds()),
        "says": sentence(advice, quota),
    }


def quota_as_object(quota: Quota | None) -> dict[str, Any] | None:
    if quota is None:
        return None
    return {"used": quota.used, "limit": quota.limit, "resets_at": utc_text(quota.resets_at)}


def _span(interval: timedelta) -> str:
    seconds = round(interval.total_seconds())
    minutes, rest = divmod(seconds, 60)
    if minutes and rest:
        return f"{minutes} min {rest} s"
    return f"{minutes} min" if minutes else f"{rest} s"
