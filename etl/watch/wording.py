"""A report in words: for a terminal, a mail, a channel of Slack and programs. Pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.models.summary import utc_second, utc_text
from etl.watch.slack import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from etl.models.traffic import Traffic
    from etl.watch.report import Change, Report, SyncReport, WebsiteReport

MOST_COUNTRIES = 5
MOST_SECTIONS = 46
"""Of websites: Slack takes 50 blocks."""

_BARS = "▁▂▃▄▅▆▇█"
_NAMES = {"24h": "Daily Report", "7d": "Weekly Report", "30d": "Monthly Report"}
_HOUR = timedelta(hours=1)


def title(report: Report) -> str:
    return _NAMES.get(report.range, f"Report of the last {report.range}")


def lines(report: Report) -> list[str]:
    """The whole report as plain text, a line for each website and each of the sync's facts."""
    websites = [f"{each.website}: {_told(each)}" for each in report.websites]
    return [
        f"{title(report)}, {utc_second(report.at)}",
        *websites,
        *sync_lines(report.sync),
    ]


def fallback(report: Report) -> str:
    """What a notification of Slack says: the counts of the websites."""
    (*_, only) = report.websites
    if len(report.websites) == 1:
        return f"{title(report)}: {_told(only)}"
    return "\n".join([title(report), *(f"{each.website}: {_told(each)}" for each in report.websites)])


def blocks(report: Report) -> list[dict[str, Any]]:
    """The report as blocks of Slack: a header, sections of one website or as few as fit, and the sync."""
    each = -(-len(report.websites) // MOST_SECTIONS)
    told = [f"*{escaped(website.website)}*\n{escaped(_told(website))}" for website in report.websites]
    websites = [_section("\n".join(told[first : first + each])) for first in range(0, len(told), each)]
    sync = escaped("\n".join(sync_lines(report.sync)))
    made = {"type": "mrkdwn", "text": f"visitor-sync, {utc_second(report.at)}"}
    return [
        {"type": "header", "text": {"type": "plain_text", "text": title(report)}},
        *websites,
        {"type": "divider"},
        _section(f"*Sync*\n{sync}"),
        {"type": "context", "elements": [made]},
    ]


def as_object(report: Report) -> dict[str, Any]:
    """The object of ``report --json``."""
    return {
        "range": report.range,
        "at": utc_text(report.at),
        "websites": [_website(each) for each in report.websites],
        "sync": _sync_object(report.sync),
    }


def sparkline(counts: Sequence[int]) -> str:
    """A bar of a character's height for each count."""
    most = max(counts, default=0)
    return "".join(_BARS[round(count / most * (len(_BARS) - 1))] if most else _BARS[0] for count in counts)


def percent(change: float | None) -> str | None:
    """A change with its sign."""
    return None if change is None else f"{round(change):+d} %"


def span(length: timedelta) -> str:
    """About how long, in the largest unit that says something."""
    if length < _HOUR:
        return f"{length // timedelta(minutes=1)} min"
    return f"{length // _HOUR} h" if length < 48 * _HOUR else f"{length.days} days"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _told(website: WebsiteReport) -> str:
    if website.traffic is None:
        return str(website.error)
    return ", ".join(_counts(website.traffic, website.change))


def _counts(traffic: Traffic, change: Change | None) -> Iterator[str]:
    yield f"{traffic.visitors} visitors{_changed(change.visitors if change else None)}"
    if traffic.page_views is not None:
        yield f"{traffic.page_views} page views{_changed(change.page_views if change else None)}"
    if traffic.unique_visitors is not None:
        yield f"{traffic.unique_visitors} unique"
    if traffic.bounce_rate is not None:
        yield f"bounce rate {traffic.bounce_rate:g}%"
    if traffic.countries:
        top = traffic.countries[:MOST_COUNTRIES]
        yield "top countries " + ", ".join(f"{each.country} {each.visitors}" for each in top)


def _changed(change: float | None) -> str:
    return f" ({percent(change)})" if change is not None else ""


def sync_lines(sync: SyncReport) -> Iterator[str]:
    """What the sync did, and how it stands."""
    yield f"Sync of the last day: {_listed(sync.runs) or 'no'} runs"
    yield f"Contacts: {sync.created} created, {sync.updated} updated, {sync.due} due, {sync.absent} absent"
    if sync.rejected:
        yield f"Rejected: {_listed(sync.rejected)}"
    behind = span(sync.watermark_age) if sync.watermark_age is not None else None
    yield f"Watermark: {f'{behind} behind' if behind else 'nothing was synced yet'}"
    if sync.quota and sync.share_of_month is not None:
        yield (
            f"Requests to Zenovay: {sync.quota.used} of {sync.month_limit}"
            f" ({sync.share_of_month * 100:.0f} %) of the month are used"
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _website(website: WebsiteReport) -> dict[str, Any]:
    traffic, change = website.traffic, website.change
    counts = asdict(traffic) if traffic else {}
    return {
        "website": website.website,
        "visitors": counts.get("visitors"),
        "page_views": counts.get("page_views"),
        "unique_visitors": counts.get("unique_visitors"),
        "bounce_rate": counts.get("bounce_rate"),
        "top_countries": list(counts.get("countries", ())),
        "countries_are_ours": website.countries_are_ours,
        "days": [{**day, "day": day["day"].isoformat()} for day in counts.get("days", ())],
        "change": change and {**asdict(change), "since": utc_text(change.since)},
        "read_at": utc_text(website.read_at),
        "error": website.error,
    }


def _sync_object(sync: SyncReport) -> dict[str, Any]:
    age, quota = sync.watermark_age, sync.quota
    return {
        "since": utc_text(sync.since),
        "runs": dict(sync.runs),
        "contacts": {
            "created": sync.created,
            "updated": sync.updated,
            "rejected": dict(sync.rejected),
            "confirmed": sync.confirmed,
            "due": sync.due,
            "absent": sync.absent,
        },
        "watermark_age_s": None if age is None else round(age.total_seconds()),
        "quota": {
            "used": quota.used if quota else None,
            "limit": sync.month_limit,
            "share": sync.share_of_month,
            "resets_at": utc_text(quota.resets_at) if quota else None,
        },
    }
