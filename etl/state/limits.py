"""What the program remembers of the two APIs' limits over restarts, and small facts about the set-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from etl.instants import instant, instant_or_none, microseconds
from etl.models.clocks import FAR
from etl.models.reading import Quota
from etl.models.stop import WAIT, Stop
from etl.state.failures import of_a_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.state.statements import Row, Statements

_PLACE = "INSERT INTO limits (api, account) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SENT = """
    UPDATE limits SET sent = COALESCE(?, sent), stated = COALESCE(?, stated) WHERE api = ? AND account = ?"""
_STOP = """
    UPDATE limits SET stopped_until = ?, stop_reason = ?, stop_kind = ?, stop_said_by = ?, stop_made = ?
    WHERE api = ? AND account = ?"""
_STOPPED = """
    SELECT api, account, stopped_until, stop_reason, stop_kind, stop_said_by, stop_made FROM limits
    WHERE stopped_until IS NOT NULL ORDER BY api, account"""
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
    """The limits of both APIs, inside one transaction. ``accounts`` names our account at each API.

    ``now`` is the instant of what happens.
    """

    def __init__(self, statements: Statements, accounts: dict[str, str], *, now: datetime) -> None:
        self._statements = statements
        self._accounts = accounts
        self._now = now

    def sent(self, api: str) -> list[int]:
        """When the last requests were sent, as far as the limit's window reaches: microseconds."""
        query = "SELECT sent FROM limits WHERE api = ? AND account = ?"
        sent = self._statements.value(query, (api, self._accounts[api]))
        return _stamps(sent) if sent else []

    def last_sent(self, api: str) -> datetime | None:
        """When the last request was sent, be it long ago; None if there was none."""
        return instant_or_none(max(self.sent(api), default=None))

    def remember_sent(self, api: str, sent: Sequence[int], *, stated: int | None) -> None:
        """``stated`` is the limit that the API stated; None if it has said nothing new."""
        self._put(_SENT, (orjson.dumps(sent).decode() if sent else None, stated), api)

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
        """The stop of our account that is in force, if any."""
        mine = self._accounts[api]
        return next((stop for of, at, stop in self._in_force(now) if (of, at) == (api, mine)), None)

    def stops(self) -> list[tuple[str, Stop]]:
        """The stops that are in force, of whichever account, with their API."""
        return [(api, stop) for api, _, stop in self._in_force(self._now)]

    def remember_stop(self, api: str, stop: Stop | None) -> None:
        if stop is None:
            self._put(_STOP, (None, None, None, None, None), api)
            return
        until, made = microseconds(stop.until), microseconds(self._now)
        self._put(_STOP, (until, stop.reason, stop.kind, stop.said_by, made), api)

    def _in_force(self, now: datetime) -> Iterator[tuple[str, str, Stop]]:
        for api, account, *row in self._statements.rows(_STOPPED, ()):
            stop, made = _stop(tuple(row))
            if bounded := stop.bounded(made=made, now=now):
                yield api, account, bounded

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
def _stop(row: Row) -> tuple[Stop, datetime | None]:
    """A stop, and when it was made."""
    until, reason, kind, said_by, made = row
    stop = Stop(instant(until), str(reason), str(kind or WAIT), None if said_by is None else str(said_by))
    return stop, instant_or_none(made)


@of_a_row
def _quota(row: Row | None) -> Quota | None:
    if row is None:
        return None
    used, limit, resets_at, microseconds_ahead = row
    ahead = timedelta(microseconds=microseconds_ahead)
    return Quota(int(used), limit, instant(resets_at), ahead if ahead <= FAR else timedelta(0))


@of_a_row
def _text_or_none(value: object) -> str | None:
    if isinstance(value, str | None):
        return value
    raise TypeError


@of_a_row
def _instant_or_none(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


@of_a_row
def _mapping(text: str | None) -> dict[str, Any]:
    return dict(orjson.loads(text or "{}").items())


class Facts:
    """Named texts, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def get(self, name: str) -> str | None:
        return _text_or_none(self._statements.value(_GET, (name,)))

    def instant(self, name: str) -> datetime | None:
        """What was put there as ISO 8601."""
        return _instant_or_none(self.get(name))

    def mapping(self, name: str) -> dict[str, Any]:
        """What was put there as a JSON object; empty where nothing was."""
        return _mapping(self.get(name))

    def put(self, name: str, value: str) -> None:
        self._statements.change(_PUT, (name, value))

    def drop(self, name: str) -> None:
        self._statements.change(_DROP, (name,))
