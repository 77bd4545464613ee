"""The people who are told: their Slack channel, and the service that expects pings from the job."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from etl.clock import Clock
    from etl.sandbox.wire import Call

SLACK_SECRET = "sandboxsandboxsandbox000"  # noqa: S105  of a webhook that nobody else can reach
CHECK = "00000000-0000-4000-8000-00000000c0de"


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """What was posted; ``text`` is empty where only blocks were."""

    text: str
    blocks: list[Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Ping:
    """``kind`` is success, start, fail or log; ``exit_code`` is None where the path gave none.

    ``rid`` pairs a start with its end. ``body`` is the first 10,000 bytes, as text.
    """

    kind: str
    rid: str | None
    body: str
    at: datetime
    exit_code: int | None = None


@dataclass(slots=True, kw_only=True)
class TeamWorld:
    """One channel and one check; every attribute may be set at any time, from any thread.

    ``slack_secret`` is the end of the webhook's path, ``check`` the UUID that is pinged.
    """

    clock: Clock
    slack_secret: str = SLACK_SECRET
    check: str = CHECK
    messages: list[SlackMessage] = field(default_factory=list)
    """The oldest first."""
    pings: list[Ping] = field(default_factory=list)
    """The oldest first."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def slack_path(self) -> str:
        return f"/slack/services/T000/B000/{self.slack_secret}"

    @property
    def ping_path(self) -> str:
        return f"/ping/{self.check}"

    def now(self) -> datetime:
        return self.clock.now()

    def admit(self, call: Call) -> None:
        """Nothing is counted, and the path is the key."""

    def headers(self) -> dict[str, str]:
        return {}
