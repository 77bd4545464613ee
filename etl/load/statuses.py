"""What each status of HubSpot's obliges us to do. Pure: the instant is an argument.

https://developers.hubspot.com/docs/api-reference/error-handling tells of 423 (wait two seconds), 429 and 477
(at most a day) and calls every field of an error optional; the limits' headers stand in
https://developers.hubspot.com/docs/api/usage-details.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.errors import AccessRefusedError, ContractBrokenError, UnavailableError
from etl.load.complaints import Complaint, complaint
from etl.models.stop import DAILY, MOVE, WAIT, longest
from etl.models.summary import utc_second
from etl.retry import TransientError

if TYPE_CHECKING:
    from etl.errors import SyncError
    from etl.network.reply import Reply

WRITE_SCOPE = "crm.objects.contacts.write"
READ_SCOPE = "crm.objects.contacts.read"
SCHEMA_WRITE_SCOPE = "crm.schemas.contacts.write"
SCHEMA_READ_SCOPE = "crm.schemas.contacts.read"

_LOCK_S = 2.0
_POLICY_WAIT_S = {"SECONDLY": 1.0}
_ROLLING_WAIT_S = 10.0
_LARGEST_LIMIT = 999_999
_MOVING = 477
"""HubSpot's own: the account is being moved to another data centre."""

_ASKS = "HubSpot's Retry-After"
CHECK_ADDRESS = "Check HUBSPOT_BASE_URL and HUBSPOT_API_VERSION; nothing is lost."


class ScopeMissingError(AccessRefusedError):
    """403: the token is good, but not for this."""


def complaint_in(reply: Reply) -> Complaint:
    """What HubSpot complains of in an error's body."""
    trace = reply.header("x-hubspot-correlation-id")
    return complaint(reply.json(), body_correlation_id=trace, otherwise=f"HTTP_{reply.status}")


def results_of(reply: Reply) -> dict[str, Any]:
    """The body of a 2xx, which must be JSON with a list of ``results``.

    Raises TransientError, marked as malformed, for anything else: a gateway's page with status 200, or the
    empty body of a 202 or 204, says nothing about any contact.
    """
    body = reply.json()
    if isinstance(body, dict) and isinstance(body.get("results"), list):
        return body
    raise _malformed(reply, body, "without a readable list of results")


def object_of(reply: Reply) -> dict[str, Any]:
    """The JSON object in the body. Raises TransientError, marked as malformed, for anything else."""
    body = reply.json()
    if isinstance(body, dict):
        return body
    raise _malformed(reply, body, "with a body that is not JSON")


def _malformed(reply: Reply, body: Any, how: str) -> TransientError:
    what = f"HubSpot answered {reply.status} {how}"
    unread = reply.body if body is None else None
    return TransientError(what, malformed=True, unread=unread, fix=CHECK_ADDRESS)


def refusal(reply: Reply, *, where: str, scope: str, now: datetime) -> SyncError | TransientError:
    """What to raise for a status that the caller has no use for.

    ``scope`` is named to the operator where a 403 does not say which one is missing.
    """
    said = complaint_in(reply)
    trace = f" (correlation id {said.correlation_id})" if said.correlation_id else ""
    if reply.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.LOCKED, _MOVING}:
        return _busy(reply, said, now=now)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        return _token_refused(trace)
    if reply.status == HTTPStatus.FORBIDDEN:
        return _scope_missing(said, scope=scope, trace=trace)
    if reply.is_outage:
        asked = reply.retry_after(now=now)
        return TransientError(f"HubSpot answered {reply.status}{trace}", asked_s=asked, said_by=_ASKS)
    what = f"{where}: HubSpot answered {reply.status}, which it should not{trace}."
    return ContractBrokenError(what, fix=CHECK_ADDRESS)


def ten_second_limit(reply: Reply) -> int | None:
    """The app's limit per 10 s as the reply's headers state it; None where they do not, or state rubbish."""
    limit = reply.number("x-hubspot-ratelimit-max")
    if reply.header("x-hubspot-ratelimit-interval-milliseconds") != "10000":
        return None
    return limit if limit and limit <= _LARGEST_LIMIT else None


def day_spent(reply: Reply, *, now: datetime) -> UnavailableError | None:
    """What to end a run with after a good answer by which nothing of the day remains; None for any other."""
    is_told = reply.ok and reply.number("x-hubspot-ratelimit-daily") and _is_last_of_the_day(reply)
    return _day_spent(reply, now=now) if is_told else None


def _is_last_of_the_day(reply: Reply) -> bool:
    return reply.header("x-hubspot-ratelimit-daily-remaining") == "0"


def _day_spent(reply: Reply, *, now: datetime) -> UnavailableError:
    """Nothing of the day remains, as only a header says: tried again in an hour."""
    what = f"HubSpot answered {reply.status} and nothing of the day remains"
    said_by = "HubSpot's X-HubSpot-RateLimit-Daily-Remaining"
    return _stop(what, reply, now=now, kind=WAIT, otherwise=now + longest(WAIT), said_by=said_by)


def _token_refused(trace: str) -> AccessRefusedError:
    return AccessRefusedError(
        f"HubSpot refused the access token (401){trace}.",
        fix="Put a valid private app token or service key into HUBSPOT_ACCESS_TOKEN; what is due stays due.",
    )


def _scope_missing(said: Complaint, *, scope: str, trace: str) -> ScopeMissingError:
    scopes = ", ".join(said.scopes) or scope
    return ScopeMissingError(
        f"HubSpot answered 403: the access token may not do this{trace}.",
        fix=f"Give the app of HUBSPOT_ACCESS_TOKEN the scope {scopes}; what is due stays due.",
    )


def _busy(reply: Reply, said: Complaint, *, now: datetime) -> UnavailableError | TransientError:
    if reply.status == _MOVING:
        what, otherwise = "HubSpot is moving this account to another data centre (477)", now + longest(MOVE)
        said_by = "HubSpot's 477, which lasts a day at most"
        return _stop(what, reply, now=now, kind=MOVE, otherwise=otherwise, said_by=said_by)
    if "DAILY" in said.policy:
        midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
        said_by = "our own reckoning: midnight UTC, as the account's own time zone is not known here"
        what = "The HubSpot account's daily quota is spent"
        return _stop(what, reply, now=now, kind=DAILY, otherwise=midnight, said_by=said_by)
    asked = reply.retry_after(now=now)
    if reply.status == HTTPStatus.LOCKED:
        wait_s = _LOCK_S if asked is None else asked
        return TransientError("HubSpot answered 423, a lock", asked_s=wait_s, said_by=_ASKS)
    if not said.policy and _is_last_of_the_day(reply):
        return _day_spent(reply, now=now)  # a limit without a name
    what = f"HubSpot answered 429, rate limit {said.policy[:40] or 'unknown'}"
    wait_s = _POLICY_WAIT_S.get(said.policy, _ROLLING_WAIT_S) if asked is None else asked
    return TransientError(what, asked_s=wait_s, said_by=_ASKS)


def _stop(
    what: str, reply: Reply, *, now: datetime, kind: str, otherwise: datetime, said_by: str
) -> UnavailableError:
    """The end of the run until the instant that the reply names, ``otherwise`` until the one ``said_by``."""
    asked = reply.retry_after(now=now, kind=kind)
    if asked:
        otherwise, said_by = now + timedelta(seconds=asked), _ASKS
    return UnavailableError(
        f"{what} until {utc_second(otherwise)}, by {said_by}.",
        fix="Nothing is lost; run again after that.",
        until=otherwise,
        kind=kind,
        said_by=said_by,
    )
