"""An answer over HTTP, and what both APIs say in the same way: dates, numbers, waits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl import jsontext
from etl.instants import CLOCK_YEARS
from etl.models.stop import WAIT, longest
from etl.retry import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.network.route import Route

LARGEST_BODY = 64 * 2**20
"""Bytes; what is larger is no answer of either API."""

_MOST_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end. ``headers`` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_outage(self) -> bool:
        """Whether the other side could not, rather than would not."""
        return self.status == HTTPStatus.REQUEST_TIMEOUT or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def date(self) -> datetime | None:
        """The other side's clock, in whole seconds, if it states it."""
        return http_date(self.header("date"))

    def header(self, name: str) -> str:
        """The text of a header, by its name in lower case; empty where there is none."""
        return self.headers.get(name, "").strip()

    def number(self, name: str) -> int | None:
        """The whole number in a header; None where there is none, or one that no limit has."""
        text = self.header(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None

    def retry_after(self, *, now: datetime, kind: str = WAIT) -> float | None:
        """The wait of a Retry-After header in seconds, from a number or an HTTP date; None without one.

        ``now`` is the other side's clock, where the reply does not state it. A wait longer than a stop of
        ``kind`` can last is none: instants stand there too, and years.
        """
        text = self.header("retry-after")
        date = http_date(text)
        return wait_s((date - (self.date or now)).total_seconds() if date else text, kind=kind)

    def json(self) -> Any:
        """The value in the body, or None where it is not JSON. Never raises."""
        try:
            return jsontext.parse(self.body)
        except jsontext.UnreadableError:
            return None


def whole(chunks: Iterable[bytes], route: Route) -> bytes:
    """The body that comes in ``chunks``. Raises TransientError for more than ``LARGEST_BODY`` of it."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > LARGEST_BODY:
            what = f"a body of more than {LARGEST_BODY >> 20} MiB"
            raise TransientError(what, malformed=True, fix=f"Check {route.setting}.")
    return bytes(body)


def http_date(text: str) -> datetime | None:
    """The instant that an HTTP date states, in UTC; None if it states none, or one that no clock shows."""
    try:
        stated = parsedate_to_datetime(text)
        stated = stated.replace(tzinfo=UTC) if stated.tzinfo is None else stated.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return stated if stated.year in CLOCK_YEARS else None


def wait_s(stated: Any, *, kind: str = WAIT) -> float | None:
    """``stated``, a number or a text that holds one, as a wait in seconds; None if none can be meant."""
    try:
        seconds = float(stated)
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(stated, bool) or not math.isfinite(seconds):
        return None
    return seconds if 0 <= seconds <= longest(kind).total_seconds() else None
