"""The channels that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etl.cli import streams
from etl.errors import UnavailableError
from etl.watch.channels import SLACK, AppriseChannel, SlackChannel
from etl.watch.slack import Slack

if TYPE_CHECKING:
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
