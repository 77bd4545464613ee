"""What the program remembers of the two APIs' limits over restarts, and small facts about the set-up."""

from __future__ import annotations

from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import delete, insert, select, update

from etl.models import Quota
from etl.pipeline.ports import Stop
from etl.state.tables import facts, instant, limits, microseconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Table


def account(credential: str) -> str:
    """A name for the account behind a credential, from which the credential cannot be had."""
    return blake2b(credential.encode(), digest_size=8).hexdigest()


class Limits:
    """The limits of both APIs, inside one transaction. ``accounts`` names our account at each API."""

    def __init__(self, connection: Connection, accounts: dict[str, str]) -> None:
        self._connection = connection
        self._accounts = accounts

    def sent(self, api: str) -> list[datetime]:
        """When the last requests were sent, as far as the limit's window reaches."""
        row = self._row(api)
        return [instant(value) for value in orjson.loads(row.sent)] if row and row.sent else []

    def remember_sent(self, api: str, instants: Sequence[datetime]) -> None:
        self._put(api, sent=orjson.dumps([microseconds(sent) for sent in instants]).decode())

    def stated(self, api: str) -> int | None:
        """The limit that the API stated last, in requests per window."""
        found = Facts(self._connection).get(self._fact(api))
        return None if found is None else int(found)

    def remember_stated(self, api: str, limit: int) -> None:
        Facts(self._connection).put(self._fact(api), str(limit))

    def _fact(self, api: str) -> str:
        return f"stated_limit:{api}:{self._accounts[api]}"

    def quota(self, api: str) -> Quota | None:
        """The requests of the month, as far as they are known."""
        row = self._row(api)
        return _quota(row) if row and row.used is not None else None

    def latest_quota(self, api: str) -> Quota | None:
        """The requests of the month of the account that was asked last, whichever it is."""
        query = select(limits).where(limits.c.api == api, limits.c.used.is_not(None))
        row = self._connection.execute(query.order_by(limits.c.resets_at.desc()).limit(1)).one_or_none()
        return _quota(row) if row else None

    def remember_quota(self, api: str, quota: Quota) -> None:
        ahead = quota.ahead // timedelta(microseconds=1)
        self._put(api, used=quota.used, month_limit=quota.limit, resets_at=quota.resets_at, ahead=ahead)

    def stop(self, api: str, now: datetime) -> Stop | None:
        """The stop that is in force, if any."""
        row = self._row(api)
        if row is None or row.stopped_until is None or row.stopped_until <= now:
            return None
        return Stop(row.stopped_until, row.stop_reason)

    def remember_stop(self, api: str, stop: Stop | None) -> None:
        until, reason = stop or (None, None)
        self._put(api, stopped_until=until, stop_reason=reason)

    def _row(self, api: str) -> Any:
        query = select(limits).where(limits.c.api == api, limits.c.account == self._accounts[api])
        return self._connection.execute(query).one_or_none()

    def _put(self, api: str, **values: object) -> None:
        keys = {"api": api, "account": self._accounts[api]}
        _put(self._connection, limits, keys, values)


def _quota(row: Any) -> Quota:
    return Quota(row.used, row.month_limit, row.resets_at, timedelta(microseconds=row.ahead))


class Facts:
    """Named texts, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        return self._connection.execute(
            select(facts.c.value).where(facts.c.name == name)
        ).scalar_one_or_none()

    def put(self, name: str, value: str) -> None:
        _put(self._connection, facts, {"name": name}, {"value": value})

    def drop(self, name: str) -> None:
        self._connection.execute(delete(facts).where(facts.c.name == name))


def _put(connection: Connection, table: Table, keys: dict[str, str], values: dict[str, object]) -> None:
    """Update the row with these keys, or insert it."""
    changed = update(table).values(**values)
    for name, key in keys.items():
        changed = changed.where(table.c[name] == key)
    if connection.execute(changed).rowcount == 0:
        connection.execute(insert(table).values(**keys, **values))
