"""Posting to a channel of Slack through an incoming webhook.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks: 200 says ``ok`` in plain text, and
a refusal one word, such as ``invalid_payload`` or ``no_service``.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.errors import AccessRefusedError, ContractBrokenError, SettingsError
from etl.network.strangers import kind_of
from etl.redact import vendor_text
from etl.retry import Patience, TransientError, persevere
from etl.watch.hooks import HTML, foreign, hook_to, secret_parts, wire_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from etl.clock import Clock
    from etl.errors import SyncError
    from etl.network.reply import Reply
    from etl.network.route import Route

SETTING = "SLACK_WEBHOOK_URL"
MOST_BLOCKS = 50
LONGEST_SECTION = 3000
"""Characters of the text in a section, as they are sent."""

_LONGEST = {"section": LONGEST_SECTION, "header": 150}
_LONGEST_TEXT = 40_000
_PATIENCE = Patience(attempts=3, total_s=20.0, longest_asked_s=30.0)
_CUT_ENTITY = re.compile(r"&[a-z]{0,3}\Z")
_DEAD = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_LATER = f"The message was not posted; if this lasts, check {SETTING} and the way to its host."
_NEW_WEBHOOK = f"Make a new webhook in Slack, for a channel that exists, and put its URL into {SETTING}."


class Slack:
    """Posts to one webhook, for one thread at a time. What goes wrong is an error of ``etl.errors``.

    No error and no log line holds the URL, which is a secret, or a part of its path.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        patience: Patience = _PATIENCE,
        timeout_s: tuple[float, float] = (4.0, 6.0),
        deadline_s: float = 6.0,
    ) -> None:
        """``timeout_s`` and ``deadline_s`` as in ``Wire``. Raises SettingsError for a URL that is none."""
        self._clock = clock
        self._patience = patience
        self._secrets = secret_parts(url)
        route = hook_to(url, api="Slack", setting=SETTING)
        self._wire = wire_to(
            route, content_type="application/json", timeout_s=timeout_s, deadline_s=deadline_s
        )

    def post(self, text: str, blocks: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Post ``blocks``, with ``text`` for notifications, or ``text`` alone; both are mrkdwn.

        What is too long for Slack is cut. Repeats what may pass, for about 20 seconds. Raises
        UnavailableError when that did not help, SettingsError for a webhook that is dead, AccessRefusedError
        and ContractBrokenError.
        """
        message = {"text": shortened(text, _LONGEST_TEXT)}
        body = json.dumps(message | {"blocks": fitting(blocks)} if blocks else message).encode()
        persevere(lambda: self._attempt(body), patience=self._patience, clock=self._clock, where="Slack")

    def close(self) -> None:
        """Give up the connection; a post in flight in another thread fails."""
        self._wire.close()

    def _attempt(self, body: bytes) -> None:
        try:
            reply = self._wire.post(body)
        except TransientError as failure:
            failure.fix = failure.fix or _LATER
            raise
        if failed := trouble(reply, self._wire.route, secrets=self._secrets, now=self._clock.now()):
            raise failed


def trouble(
    reply: Reply, route: Route, *, secrets: tuple[str, ...], now: datetime
) -> SyncError | TransientError | None:
    """The error that ``reply`` means, None where it took the message. ``now`` is our clock.

    ``secrets`` are taken out of what is quoted.
    """
    if error := foreign(reply, route):
        return error
    kind = kind_of(reply.body)
    if reply.ok:
        return _not_slack(reply, route) if kind == HTML else None
    said = kind if kind == HTML else vendor_text(reply.body.decode("utf-8", "replace"), *secrets) or kind
    what = f"{route.host} ({SETTING}) answered with status {reply.status} ({said})"
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.is_outage:
        asked_s = reply.retry_after(now=now)
        by = "Slack's Retry-After" if asked_s else None
        return TransientError(what, asked_s=asked_s, said_by=by, fix=_LATER)
    if reply.status in _DEAD:
        return SettingsError(f"{what}: the webhook is dead, or was never one.", fix=_NEW_WEBHOOK)
    if reply.status in _REFUSED:
        fix = f"Have an administrator of the workspace allow it. {_NEW_WEBHOOK}"
        return AccessRefusedError(f"{what}: the webhook may not post.", fix=fix)
    fix = f"Check that {SETTING} is an incoming webhook; if it is, this program sends what Slack refuses."
    return ContractBrokenError(f"{what}, and did not take the message.", fix=fix)


def _not_slack(reply: Reply, route: Route) -> ContractBrokenError:
    return ContractBrokenError(
        f"{route.host} ({SETTING}) answered with status {reply.status} and a page (HTML), which Slack never"
        " does: the message was not posted.",
        fix=f"Check {SETTING}, and whether the network wants a login.",
    )


def escaped(value: object) -> str:
    """``value`` as text that mrkdwn shows as it is, without links, mentions or entities made of it."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str, longest: int) -> str:
    """``text`` in at most ``longest`` characters, cut with an ellipsis and never within an entity."""
    return text if len(text) <= longest else _CUT_ENTITY.sub("", text[: longest - 1]) + "…"


def fitting(blocks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """``blocks`` as Slack takes them: with texts that are cut, and a note in the place of those too many."""
    kept = [_cut(block) for block in blocks[:MOST_BLOCKS]]
    if len(blocks) <= MOST_BLOCKS:
        return kept
    note = f"_{len(blocks) - MOST_BLOCKS + 1} more parts are left out._"
    return [*kept[:-1], {"type": "context", "elements": [{"type": "mrkdwn", "text": note}]}]


def _cut(block: Mapping[str, Any]) -> Mapping[str, Any]:
    inner, longest = block.get("text"), _LONGEST.get(block.get("type", ""))
    if longest is None or not isinstance(inner, dict):
        return block
    return {**block, "text": {**inner, "text": shortened(inner["text"], longest)}}
