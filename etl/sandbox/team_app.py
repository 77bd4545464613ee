"""What an incoming webhook of Slack's and a ping service answer.

The latter is https://healthchecks.io/docs/http_api/, with the body limit of a server of one's own.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from etl.jsontext import UnreadableError, parse
from etl.sandbox.team import Ping, SlackMessage
from etl.sandbox.wire import RefusedError, Reply

if TYPE_CHECKING:
    from etl.sandbox.team import TeamWorld
    from etl.sandbox.wire import Call

MOST_BLOCKS = 50
LONGEST_SECTION = 3000
LARGEST_PING = 10_000
_LAST_EXIT_CODE = 255
_SIGNALS = ("start", "fail", "log")


class TeamEndpoints:
    """Each method answers one request, or raises RefusedError."""

    def __init__(self, world: TeamWorld) -> None:
        self._world = world

    def webhook(self, call: Call) -> Reply:
        """Keep a message, where it is one and the path is the channel's."""
        if call.path != self._world.slack_path:
            raise _refused(404, "no_service")
        message = self._message(call.body)
        if message is None:
            raise _refused(400, "invalid_payload")
        self._world.messages.append(message)
        return _plain(200, "ok")

    def ping(self, call: Call) -> Reply:
        """Keep a ping; one of a check that does not exist is answered well, and not kept."""
        signal, rid = call.parts.get("signal", ""), call.params.get("rid")
        if rid is not None and not _is_uuid(rid):
            raise _refused(400, "invalid url format")
        kind, exit_code = _kind(signal)
        if call.parts["check"] != self._world.check:
            return _ping_answer("OK (not found)")
        body = call.body[:LARGEST_PING].decode(errors="replace")
        self._world.pings.append(Ping(kind, rid, body, self._world.now(), exit_code))
        return _ping_answer("OK")

    def unknown(self, _call: Call) -> Reply:
        raise _refused(404, "not found")

    def _message(self, body: bytes) -> SlackMessage | None:
        """What was posted; None where Slack would not take it."""
        try:
            said = parse(body)
        except UnreadableError:
            return None
        if not isinstance(said, dict):
            return None
        text, blocks = said.get("text", ""), said.get("blocks", [])
        if not isinstance(text, str) or not _are_blocks(blocks) or not (text or blocks):
            return None
        return SlackMessage(text, blocks, self._world.now())


def _are_blocks(blocks: Any) -> bool:
    return isinstance(blocks, list) and len(blocks) <= MOST_BLOCKS and all(map(_is_block, blocks))


def _is_block(block: Any) -> bool:
    """Whether it has a type, and the text of a section is not too long."""
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return False
    inner = block.get("text")
    text = inner.get("text") if isinstance(inner, dict) else ""
    return block["type"] != "section" or (isinstance(text, str) and len(text) <= LONGEST_SECTION)


def _kind(signal: str) -> tuple[str, int | None]:
    """What the end of the path means, and the exit code that it states. Raises RefusedError."""
    if not signal:
        return "success", None
    if signal in _SIGNALS:
        return signal, None
    if signal.isascii() and signal.isdigit() and int(signal) <= _LAST_EXIT_CODE:
        return ("fail" if int(signal) else "success"), int(signal)
    raise _refused(404, "not found")


def _is_uuid(text: str) -> bool:
    """Whether it is one as it is usually written, with hyphens."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _ping_answer(text: str) -> Reply:
    plain = _plain(200, text)
    return Reply(plain.status, plain.body, {**plain.headers, "ping-body-limit": str(LARGEST_PING)})


def _plain(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), {"content-type": "text/plain; charset=utf-8"})


def _refused(status: int, text: str) -> RefusedError:
    return RefusedError(_plain(status, text))
