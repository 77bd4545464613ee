"""What an answer that is not a success means, and what to do about it.

Zenovay documents four shapes of error bodies; they differ in where the code stands, in its case, and in
whether a ``retry_after`` is there: https://help.zenovay.com/en/article/api-errors/,
https://help.zenovay.com/en/article/rate-limits/ and the older https://docs.zenovay.com/en/api/rate-limits/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.errors import AccessRefusedError, ContractBrokenError, SettingsError, SyncError, UnavailableError
from etl.extract.budget import month_after
from etl.instants import parsed
from etl.jsontext import UnreadableError, parse
from etl.models.stop import DAILY, MONTHLY, WAIT, longest
from etl.models.summary import utc_second
from etl.network.reply import wait_s
from etl.network.strangers import kind_of
from etl.redact import vendor_text
from etl.retry import TransientError

if TYPE_CHECKING:
    from datetime import datetime

    from etl.network.reply import Reply

_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*s(?:ec(?:ond)?s?)?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a body says: ``code`` upper-cased, ``message`` as it came, ``retry_after`` in seconds if sound."""

    code: str = ""
    message: str = ""
    retry_after: Any = None


def error_body(body: bytes) -> ErrorBody:
    """What an error body says; empty where it is none of the four shapes."""
    try:
        said = parse(body)
    except UnreadableError:
        return ErrorBody()
    if not isinstance(said, dict):
        return ErrorBody()
    error = said.get("error")
    inner = error if isinstance(error, dict) else {"message": error}
    return ErrorBody(
        code=_text(inner.get("code") or said.get("code")).upper(),
        message=_text(inner.get("message") or said.get("message")),
        retry_after=inner.get("retry_after", said.get("retry_after")),
    )


def seen(reply: Reply, api_key: str = "") -> str:
    """What came, for a message: the status, and what the body says or is."""
    said = error_body(reply.body)
    told = vendor_text(": ".join(filter(None, (said.code, said.message))), api_key)
    return f"status {reply.status} ({told or kind_of(reply.body)})"


def refusal(reply: Reply, *, path: str, api_key: str, now: datetime) -> SyncError | TransientError:
    """The error to raise for ``reply``, whose status is not a success.

    ``now`` is the API's clock, as is the instant before which nothing is to be had.
    """
    said = error_body(reply.body)
    saw = seen(reply, api_key)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS and said.code == "MONTHLY_LIMIT_EXCEEDED":
        return _month_spent(reply, now=now)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _passing(saw, reply, said, now=now)
    if reply.is_outage:
        return _passing(saw, reply, ErrorBody(), now=now)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        return _unauthorized(saw, api_key=api_key)
    return _standing(reply, said, path=path, saw=saw)


def _standing(reply: Reply, said: ErrorBody, *, path: str, saw: str) -> SyncError:
    """What the same request would meet again."""
    if reply.status == HTTPStatus.FORBIDDEN:
        return _forbidden(said, path=path, saw=saw)
    if reply.status == HTTPStatus.NOT_FOUND:
        return SettingsError(
            f"Zenovay does not know {path}: {saw}.",
            fix="Check ZENOVAY_WEBSITE_ID, which is not the tracking code, and ZENOVAY_BASE_URL.",
        )
    return ContractBrokenError(
        f"Zenovay {path}: {saw}.",
        fix="Check ZENOVAY_BASE_URL and ZENOVAY_PAGING, and whether the API has changed.",
    )


def _unauthorized(saw: str, *, api_key: str) -> AccessRefusedError:
    if api_key.startswith("ZV_"):
        fix = "ZENOVAY_API_KEY holds the public tracking code; the secret key starts with lower-case zv_."
    else:
        fix = "Put a valid secret key of the Zenovay account into ZENOVAY_API_KEY; it starts with zv_."
    return AccessRefusedError(f"Zenovay refuses the API key: {saw}.", fix=fix)


def _forbidden(said: ErrorBody, *, path: str, saw: str) -> AccessRefusedError:
    if said.code == "API_PAID_PLAN_REQUIRED":
        return AccessRefusedError(
            f"The plan of this Zenovay account includes no API access: {saw}.",
            fix="Upgrade the Zenovay plan (Pro or larger), then run again.",
        )
    if said.code == "FORBIDDEN":
        return AccessRefusedError(
            f"ZENOVAY_API_KEY may not read {path}, which belongs to another team: {saw}.",
            fix="Use a key of the team that owns the website, or correct ZENOVAY_WEBSITE_ID.",
        )
    return AccessRefusedError(
        f"Zenovay refuses access to {path}: {saw}.",
        fix="Check ZENOVAY_API_KEY, its team and its plan, and that no firewall stands in between.",
    )


def _month_spent(reply: Reply, *, now: datetime) -> UnavailableError:
    """Nothing works before ``X-Usage-Reset``; without it a month is taken for a calendar month in UTC."""
    until, said_by = parsed(reply.header("x-usage-reset")), "Zenovay's X-Usage-Reset"
    if until is None or not now < until <= now + longest(MONTHLY):
        until, said_by = month_after(now), "our own reckoning: the end of the month in UTC"
    return UnavailableError(
        f"Zenovay's requests of this month are spent until {utc_second(until)}, by {said_by}.",
        fix="Nothing is lost; run less often, or on a larger Zenovay plan.",
        until=until,
        kind=MONTHLY,
        said_by=said_by,
    )


def _passing(saw: str, reply: Reply, said: ErrorBody, *, now: datetime) -> TransientError:
    """A failure with the wait that is asked for: by header, body or message, the first that can be meant.

    Instants in the place of seconds, and whatever else is longer than its limit lasts, are no waits.
    """
    in_words = _SECONDS.search(said.message)
    kind = DAILY if "DAILY" in said.code else WAIT
    for said_by, seconds in (
        ("Zenovay's Retry-After", reply.retry_after(now=now, kind=kind)),
        ("Zenovay's retry_after", wait_s(said.retry_after, kind=kind)),
        ("Zenovay's message", wait_s(in_words and in_words[1], kind=kind)),
    ):
        if seconds is not None:
            return TransientError(saw, asked_s=seconds, said_by=said_by, kind=kind)
    return TransientError(saw)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
