"""How many visitors a website has now: Zenovay's public count, which asks for no key and is sent none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.errors import AccessRefusedError, ContractBrokenError, SettingsError
from etl.extract.client import read_body
from etl.extract.payload import UnreadableBodyError, keys_of, opened
from etl.extract.statuses import refusal, seen
from etl.network.route import route_to
from etl.network.strangers import stranger
from etl.network.trace import Trace
from etl.network.urls import origin
from etl.network.wire import Wire
from etl.retry import Patience, persevere

if TYPE_CHECKING:
    from datetime import datetime

    from etl.clock import Clock
    from etl.network.reply import Reply

BRIEF = Patience(attempts=3, total_s=15.0, longest_asked_s=15.0)

_NEWEST, _OLDER = "/e/live/", "/live/"
_NAMES = ("count", "live", "visitors", "live_visitors", "current_visitors")
_CODE = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]{1,200}")
_WHERE = "It begins with ZV_, and stands in the script of the website and in Zenovay's settings of it."


@dataclass(frozen=True, slots=True)
class LiveCount:
    """``visitors`` are those of the moment; ``at`` is when the answer came, by our clock."""

    tracking_code: str
    visitors: int
    at: datetime

    def __str__(self) -> str:
        return f"{self.visitors} visitor{'' if self.visitors == 1 else 's'}"


def checked_code(text: str) -> str:
    """``text``, which may be asked for in public. Raises SettingsError, without it, for what no code is."""
    if text.startswith("zv_"):
        raise SettingsError(
            "A given tracking code is the secret key, as it begins with lower-case zv_; it was not sent.",
            fix=f"Give the public tracking code. {_WHERE}",
        )
    if not _CODE.fullmatch(text):
        raise SettingsError(
            "A given tracking code is not one word of ASCII letters, digits, dots, hyphens and underscores.",
            fix=_WHERE,
        )
    return text


def read_live(body: Any) -> int:
    """The count in a parsed body, or under its ``data``. Raises UnreadableBodyError."""
    content = opened(body)
    inner = content.get("data")
    for part in (content, inner if isinstance(inner, dict) else {}):
        for name in _NAMES:
            count = part.get(name)
            if type(count) is int and count >= 0:
                return count
    raise UnreadableBodyError(f"{keys_of(content, inner)} and no count")


class LiveCounter:
    """Asks at the newest place first, and from then on where there was an answer. For one thread."""

    def __init__(
        self,
        *,
        base_url: str,
        clock: Clock,
        patience: Patience = BRIEF,
        timeout_s: tuple[float, float] = (5.0, 5.0),
        deadline_s: float = 8.0,
    ) -> None:
        """Of ``base_url`` only the origin counts; ``timeout_s`` and ``deadline_s`` as in ``Wire``."""
        self._clock = clock
        self._patience = patience
        self._places: tuple[str, ...] = (_NEWEST, _OLDER)
        headers = {"Accept": "application/json"}
        route = route_to(origin(base_url), api="Zenovay", setting="ZENOVAY_BASE_URL")
        self._wire = Wire(route, headers=headers, timeout_s=timeout_s, deadline_s=deadline_s)

    def count(self, tracking_code: str) -> LiveCount:
        """The count of one website, whose code was checked.

        Raises SettingsError for a code that nobody knows, and UnavailableError, AccessRefusedError and
        ContractBrokenError.
        """
        for place in self._places:
            path = place + tracking_code
            trace = Trace("Zenovay", "GET", path, clock=self._clock)
            ask = partial(self._attempt, path, trace)
            where = f"Zenovay {path}"
            visitors = persevere(ask, patience=self._patience, clock=self._clock, where=where)
            if visitors is not None:
                self._places = (place, *(each for each in self._places if each != place))
                return LiveCount(tracking_code, visitors, self._clock.now())
        raise SettingsError(
            f"Zenovay knows no tracking code {tracking_code}.",
            fix=f"Check it, and ZENOVAY_BASE_URL. {_WHERE}",
        )

    def close(self) -> None:
        """Give up the connection."""
        self._wire.close()

    def _attempt(self, path: str, trace: Trace) -> int | None:
        """The count; None where nothing is at ``path``."""
        reply = trace.of(lambda: self._wire.get(path))
        if error := stranger(reply, self._wire.route):
            raise error
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if not reply.ok:
            raise self._refusal(reply, path)
        return read_body(reply, read_live)

    def _refusal(self, reply: Reply, path: str) -> Exception:
        """As elsewhere, but that no key is at fault."""
        if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return AccessRefusedError(
                f"Zenovay refuses {path}, which is public: {seen(reply)}.",
                fix="Check ZENOVAY_BASE_URL, whether the website lets its count be seen, and that no firewall"
                " stands in between.",
            )
        if reply.is_outage or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            return refusal(reply, path=path, api_key="", now=reply.date or self._clock.now())
        return ContractBrokenError(
            f"Zenovay {path}: {seen(reply)}.",
            fix="Check ZENOVAY_BASE_URL, and whether the API has changed.",
        )
