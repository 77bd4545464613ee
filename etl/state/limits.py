"""What the program remembers of the two APIs' limits over restarts, and small facts about the set-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from etl.instants import instant, microseconds, microseconds_or_none
from etl.models.reading import Quota
from etl.pipeline.ports import Stop
from etl.state.failures import of_a_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.state.statements import Row, Statements

_PLACE = "INSERT INTO limits (api, account) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SENT = "UPDATE limits SET sent = ?, stated = COALESCE(?, stated) WHERE api = ? AND account = ?"
_STOP = "UPDATE limits SET stopped_until = ?, stop_reason = ? WHERE api = ? AND account = ?"
_USED = """
    UPDATE limits SET used = ?, month_limit = ?, resets_at = ?, ahead = ? WHERE api = ? AND account = ?"""
_QUOTA = """
    SELECT used, month_limit, resets_at, ahead FROM limits
    WHERE used IS NOT NULL AND api = ? AND account = ?"""
_LATEST_QUOTA = """
    SELECT used, month_limit, resets_at, ahead FROM limits
    WHERE used IS NOT NULL AND api = ? ORDER BY resets_at DESC LIMIT 1"""
_GET = "SELECT value FROM facts WHERE name = ?"
_PUT = "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_DROP = "DELETE FROM facts WHERE name = ?"


def account(credential: str) -> str:
    """A name for the account behind a credential, from which the credential cannot be had."""
    return blake2b(credential.encode(), digest_size=8).hexdigest()


class Limits:
    """The limits of both APIs, inside one transaction. ``accounts`` names our account at each API."""

    def __init__(self, statements: Statements, accounts: dict[str, str]) -> None:
        self._statements = statements
        self._accounts = accounts

    def sent(self, api: str) -> list[int]:
        """When the last requests were sent, as far as the limit's window reaches: microseconds."""
        query = "SELECT sent FROM limits WHERE api = ? AND account = ?"
        sent = self._statements.value(query, (api, self._accounts[api]))
        return _stamps(sent) if sent else []

    def remember_sent(self, api: str, sent: Sequence[int], *, stated: int | None) -> None:
        """``stated`` is the limit that the API stated; None if it has said nothing new."""
        self._put(_SENT, (orjson.dumps(sent).decode(), stated), api)

    def stated(self, api: str) -> int | None:
        """The limit that the API stated last, in requests per window."""
        query = "SELECT stated FROM limits WHERE api = ? AND account = ?"
        stated: int | None = self._statements.value(query, (api, self._accounts[api]))
        return stated

    def quota(self, api: str) -> Quota | None:
        """The requests of the month, as far as they are known."""
        return _quota(self._statements.row(_QUOTA, (api, self._accounts[api])))

    def latest_quota(self, api: str) -> Quota | None:
        """The requests of the month of the account that was asked last, whichever it is."""
        return _quota(self._statements.row(_LATEST_QUOTA, (api,)))

    def remember_quota(self, api: str, quota: Quota) -> None:
        ahead = quota.ahead // timedelta(microseconds=1)
        self._put(_USED, (quota.used, quota.limit, microseconds(quota.resets_at), ahead), api)

    def stop(self, api: str, now: datetime) -> Stop | None:
        """The stop that is in force, if any."""
        query = "SELECT stopped_until, stop_reason FROM limits WHERE api = ? AND account = ?"
        found = self._statements.row(query, (api, self._accounts[api]))
        stop = _stop(found) if found else None
        return stop if stop and stop.until > now else None

    def remember_stop(self, api: str, stop: Stop | None) -> None:
        until, reason = stop or (None, None)
        self._put(_STOP, (microseconds_or_none(until), reason), api)

    def _put(self, statement: str, values: tuple[Any, ...], api: str) -> None:
        """Update the row of our account at ``api``; made if it is missing."""
        place = (api, self._accounts[api])
        if self._statements.change(statement, (*values, *place)) == 0:
            self._statements.change(_PLACE, place)
            self._statements.change(statement, (*values, *place))


@of_a_row
def _stamps(sent: str) -> list[int]:
    return [int(value) for value in orjson.loads(sent)]


@of_a_row
def _stop(row: Row) -> Stop | None:
    until, reason = row
    return None if until is None else Stop(instant(until), str(reason))


@of_a_row
def _quota(row: Row | None) -> Quota | None:
    if row is None:
        return None
    used, limit, resets_at, ahead = row
    return Quota(int(used), limit, instant(resets_at), timedelta(microseconds=ahead))


@of_a_row
def _text_or_none(value: object) -> str | None:
    if isinstance(value, str | None):
        return value
    raise TypeError


@of_a_row
def _instant_or_none(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


class Facts:
    """Named texts, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def get(self, name: str) -> str | None:
        return _text_or_none(self._statements.value(_GET, (name,)))

    def instant(self, name: str) -> datetime | None:
        """What was put there as ISO 8601."""
        return _instant_or_none(self.get(name))

    def put(self, name: str, value: str) -> None:
        self._statements.change(_PUT, (name, value))

    def drop(self, name: str) -> None:
        self._statements.change(_DROP, (name,))
