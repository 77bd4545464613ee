"""Whom the settings name to be told."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import click

from etl.cli import streams
from etl.errors import SettingsError, UnavailableError
from etl.watch.channels import SLACK, AppriseChannel, SlackChannel
from etl.watch.ping import Ping
from etl.watch.slack import Slack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl.clock import Clock
    from etl.settings import WatchSettings
    from etl.watch.channels import Channel


class Printed:
    """stdout, where nobody else is told: cron mails it."""

    name = "stdout"

    def send(self, text: str) -> None:
        """Raises UnavailableError where it cannot be written."""
        click.echo(text)
        if streams.is_lost():
            raise UnavailableError("An alert could not be printed.", fix="The next `alert` prints it.")


def channels(watch: WatchSettings, clock: Clock) -> list[Channel]:
    """Those of SYNC_NOTIFY; without it Slack, where a webhook is set. Raises SettingsError."""
    named = watch.notified or ((SLACK,) if watch.webhook else ())
    found: list[Channel] = []
    if SLACK in named and watch.webhook:
        found.append(SlackChannel(Slack(watch.webhook, clock=clock)))
    if urls := [url for url in named if url != SLACK]:
        found.append(AppriseChannel(urls))
    return found


def watching(watch: WatchSettings, clock: Clock) -> str:
    """Who is told of what, as far as that can be said without telling anybody. Raises SettingsError."""
    return "; ".join(_told(watch, clock))


def _told(watch: WatchSettings, clock: Clock) -> Iterator[str]:
    named = channels(watch, clock)
    for channel in named:
        if isinstance(channel, AppriseChannel):
            channel.check()
    if named:
        what = "messages and alerts" if watch.notified else "reports and alerts"
        yield f"{what} go to {' and '.join(channel.name for channel in named)}"
    if watch.ping_url:
        with closing(Ping(watch.ping_url.get_secret_value(), clock=clock)):
            yield "each run is pinged"
    if watch.metrics_file:
        _prove_writable(watch.metrics_file)
        yield f"metrics go to {watch.metrics_file}"


def _prove_writable(file: Path) -> None:
    folder = file.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or file.is_dir():
        raise SettingsError(
            f"SYNC_METRICS_FILE cannot be written: {file}.",
            fix="Name a file in a directory that is there and writable.",
        )
