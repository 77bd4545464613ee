"""Where alerts go: Slack's webhook, and whatever Apprise knows how to reach."""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from etl.errors import SettingsError, UnavailableError, installing
from etl.watch.slack import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etl.watch.slack import Slack

SETTING = "SYNC_NOTIFY"
SLACK = "slack"
"""The word in SYNC_NOTIFY that stands for the webhook of SLACK_WEBHOOK_URL."""

TITLE = "visitor-sync"

_SCHEME = r"[a-z][a-z0-9+.-]*"
_URL = re.compile(rf"({_SCHEME})://[^\s]*", re.IGNORECASE | re.ASCII)
_BETWEEN = re.compile(rf"\s+|,+(?={SLACK}(?:[,\s]|\Z)|{_SCHEME}://)", re.IGNORECASE | re.ASCII)
_LOUD = ("apprise", "urllib3")
"""The loggers of Apprise, and of the library that it asks with: both name URLs."""


class Channel(Protocol):
    """Somebody who is told. ``name`` is for logs and messages, and holds no secret."""

    name: str

    def send(self, text: str) -> None:
        """Tell ``text``, which is plain. Raises SyncError where it did not arrive."""
        ...


class SlackChannel:
    """The channel of a webhook; see ``Slack``."""

    name = SLACK

    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    def send(self, text: str) -> None:
        """Raises what ``Slack.post`` raises."""
        self._slack.post(escaped(text))


class AppriseChannel:
    """Everybody whom the URLs of Apprise name, told at once and each once. The URLs are secrets."""

    name = "apprise"

    def __init__(self, urls: Sequence[str], *, timeout_s: float = 8.0) -> None:
        """``timeout_s`` bounds ``send``: what Apprise does after that is left to itself.

        Raises SettingsError where Apprise is not installed. It is imported with the first message only.
        """
        if find_spec("apprise") is None:
            raise SettingsError(
                f"{SETTING} names a service other than Slack, and the package for that is not installed.",
                fix=f"Install the extra `notify`, in the checkout by `{installing('notify')}`.",
            )
        self._urls = tuple(urls)
        self._timeout_s = timeout_s

    def check(self) -> None:
        """Raises SettingsError for a URL that Apprise does not know; nobody is told anything."""
        self._services()

    def send(self, text: str) -> None:
        """Raises SettingsError as ``check``, and UnavailableError with the kinds of those not reached."""
        posts = [_Post(scheme, tell) for scheme, tell in self._services()]
        for post in posts:
            threading.Thread(target=post.make, args=(text,), name="apprise", daemon=True).start()
        until = time.monotonic() + self._timeout_s
        for post in posts:
            post.done.wait(max(0.0, until - time.monotonic()))
        missed = [post for post in posts if not post.is_taken]
        if missed:
            raise _not_reached(missed)

    def _services(self) -> list[tuple[str, Callable[[str], bool]]]:
        return [(_scheme(url), _service(url)) for url in self._urls]


@dataclass(slots=True)
class _Post:
    """One message to one service, in a thread that nobody has to wait for."""

    scheme: str
    tell: Callable[[str], bool]
    done: threading.Event = field(default_factory=threading.Event)
    is_taken: bool = False

    def make(self, text: str) -> None:
        try:
            self.is_taken = self.tell(text)
        except Exception:  # noqa: BLE001, S110 -- of whatever a plugin raises, the text may hold its URL
            pass
        finally:
            self.done.set()


def parse_notify(text: str) -> tuple[str, ...]:
    """Who is to be told: the word ``slack`` and URLs of Apprise, each once, in their order.

    They stand between blanks or commas; a comma that neither ``slack`` nor a URL follows belongs to the URL
    before it. Raises ValueError, with the end of a sentence that begins with the setting's name; no entry is
    in it, as each may be a secret.
    """
    entries = [entry for each in _BETWEEN.split(text) if (entry := each.strip(","))]
    return tuple(dict.fromkeys(_known(entry, place) for place, entry in enumerate(entries, start=1)))


def _known(entry: str, place: int) -> str:
    if entry.lower() == SLACK:
        return SLACK
    if entry.isprintable() and _URL.fullmatch(entry):
        return entry
    raise ValueError(
        f"must be a list of `{SLACK}` and URLs of Apprise such as ntfy://topic; entry {place} is neither"
    )


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()


def _service(url: str) -> Callable[[str], bool]:
    """What tells a text to the service at ``url``, and whether it was taken."""
    import apprise  # noqa: PLC0415 -- a second, for messages that are rare

    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    service = apprise.Apprise()
    if not service.add(url):
        raise SettingsError(
            f"A URL in {SETTING}, {_scheme(url)}://…, is none that Apprise understands.",
            fix="Compare it with https://appriseit.com/services/.",
        )
    return lambda text: bool(service.notify(body=text, title=TITLE, body_format=apprise.NotifyFormat.TEXT))


def _not_reached(missed: Sequence[_Post]) -> UnavailableError:
    late = all(not post.done.is_set() for post in missed)
    kinds = ", ".join(f"{post.scheme}://" for post in missed)
    what = "gave no answer in time" if late else "did not take the message"
    return UnavailableError(
        f"{kinds} of {SETTING} {what}.",
        fix=f"Check the URL in {SETTING}, and whether the service is up.",
    )
