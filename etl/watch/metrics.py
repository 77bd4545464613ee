"""Metrics in the text format of Prometheus, for the node exporter's directory of *.prom files.

https://github.com/prometheus/node_exporter#textfile-collector: the file is to appear whole, by a rename. All
are gauges, as a job of a moment has no counter that anybody could follow; labels are website ids and words of
ours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from etl.errors import SettingsError
from etl.files import replace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "visitor_sync_"

NAMES: tuple[tuple[str, str], ...] = (
    ("visitor_sync_last_run_timestamp_seconds", "When the last run ended."),
    ("visitor_sync_last_success_timestamp_seconds", "When the last run began that exited with 0 or 3."),
    ("visitor_sync_watermark_timestamp_seconds", "Up to where Zenovay has been read."),
    ("visitor_sync_last_run_exit_code", "The exit code of the last run."),
    ("visitor_sync_last_run_duration_seconds", "How long the last run took."),
    ("visitor_sync_last_run_rows", "Rows of the last run, by what became of them."),
    ("visitor_sync_last_run_contacts", "Contacts of the last run, by what became of them."),
    ("visitor_sync_last_run_requests", "Requests of the last run, by API."),
    ("visitor_sync_contacts", "Contacts in the state: confirmed, due, rejected, absent or gone."),
    ("visitor_sync_requests_month_used", "Requests to Zenovay that are used of this month's."),
    ("visitor_sync_requests_month_limit", "Requests to Zenovay that a month has."),
    ("visitor_sync_month_reset_timestamp_seconds", "When the next month of requests begins."),
    ("visitor_sync_last_command_exit_code", "The exit code of the last command, over all websites."),
    ("visitor_sync_last_command_timestamp_seconds", "When the last command ended."),
    ("visitor_sync_info", "Always 1; the label tells the version."),
)
"""Every metric and what it means, in the order of the file. Each has a field of the same name, without the
prefix, in ``WebsiteMetrics`` or ``Metrics``."""

_SPLIT_BY = {
    "last_run_rows": "outcome",
    "last_run_contacts": "outcome",
    "last_run_requests": "api",
    "contacts": "state",
    "info": "version",
}
"""The label whose values are the keys of a field that is a mapping."""

_MODE = 0o644


@dataclass(frozen=True, slots=True)
class WebsiteMetrics:
    """One website. Instants are Unix seconds, durations seconds; what is None is left out of the file."""

    website: str
    last_run_timestamp_seconds: float | None = None
    last_success_timestamp_seconds: float | None = None
    watermark_timestamp_seconds: float | None = None
    last_run_exit_code: int | None = None
    last_run_duration_seconds: float | None = None
    last_run_rows: Mapping[str, int] | None = None
    last_run_contacts: Mapping[str, int] | None = None
    last_run_requests: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class PortalMetrics:
    """One state. ``contacts`` are counted by state; what is None is left out of the file.

    The ``name`` of its portal becomes a label, where it has one.
    """

    name: str | None = None
    websites: tuple[WebsiteMetrics, ...] = ()
    contacts: Mapping[str, int] | None = None
    requests_month_used: int | None = None
    requests_month_limit: int | None = None
    month_reset_timestamp_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Everything. Of several portals all have a name, or of one none."""

    version: str
    portals: tuple[PortalMetrics, ...] = ()
    last_command_exit_code: int | None = None
    last_command_timestamp_seconds: float | None = None

    @property
    def info(self) -> Mapping[str, float]:
        return {self.version: 1}


_OF_WEBSITE = frozenset(each.name for each in fields(WebsiteMetrics))
_OF_PORTAL = frozenset(each.name for each in fields(PortalMetrics))


def write(path: Path, metrics: Metrics) -> None:
    """Put ``metrics`` in the place of the file at ``path``, readable by everybody, whole or not at all.

    Raises SettingsError where that cannot be done; the file is then as it was. No sync needs it: whoever
    calls this can go on.
    """
    try:
        replace(path, text_of(metrics), mode=_MODE)
    except OSError as exc:
        raise SettingsError(
            f"The metrics could not be written to {path}: {os.strerror(exc.errno or 0)}.",
            fix="Check that its directory exists, that this user may write there, and that there is space.",
        ) from exc


def text_of(metrics: Metrics) -> bytes:
    """The whole file, in UTF-8; metrics without a value are not in it."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest  # noqa: PLC0415 -- 90 ms

    registry = CollectorRegistry()
    for name, meaning in NAMES:
        key = name.removeprefix(PREFIX)
        if samples := list(_samples(key, metrics)):
            gauge = Gauge(name, meaning, _labels(key, metrics), registry=registry)
            for values, value in samples:
                (gauge.labels(*map(_utf8, values)) if values else gauge).set(value)
    return generate_latest(registry)


def _labels(key: str, metrics: Metrics) -> list[str]:
    named = any(portal.name for portal in metrics.portals) and key in _OF_WEBSITE | _OF_PORTAL
    of_website = ["website"] if key in _OF_WEBSITE else []
    return ["portal"] * named + of_website + ([_SPLIT_BY[key]] if key in _SPLIT_BY else [])


def _samples(key: str, metrics: Metrics) -> Iterator[tuple[tuple[str, ...], float]]:
    """The values of a metric's labels, and its own."""
    if key not in _OF_WEBSITE | _OF_PORTAL:
        yield from _split((), getattr(metrics, key))
        return
    for portal in metrics.portals:
        named = (portal.name,) if portal.name else ()
        if key in _OF_PORTAL:
            yield from _split(named, getattr(portal, key))
            continue
        for website in portal.websites:
            yield from _split((*named, website.website), getattr(website, key))


def _split(
    labels: tuple[str, ...], value: float | Mapping[str, float] | None
) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, Mapping):
        yield from (((*labels, word), each) for word, each in value.items())
    elif value is not None:
        yield labels, value


def _utf8(text: str) -> str:
    """``text`` without halves of surrogate pairs, which no file could hold."""
    return text.encode("utf-8", "replace").decode()
