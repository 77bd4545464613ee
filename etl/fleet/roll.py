"""Who works for the fleet: a row for each worker, which outlives one that was killed for a day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, case, delete, literal, null, select, update
from sqlalchemy.dialects.postgresql import insert

from etl.fleet.roster import Roster
from etl.fleet.tables import workers

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection

_KEPT = timedelta(days=1)
_W = workers.c


class Worker(NamedTuple):
    """A process that works."""

    host: str
    pid: int
    version: str


class Called(NamedTuple):
    """Who has died since the last call, and who was taken for dead, and is back."""

    dead: list[Worker]
    back: list[Worker]


class Roll:
    """Inside one transaction; ``now`` is the database's clock."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def sign_on(
        self, number: int, who: Worker, declares: Roster, *, started: datetime | None = None
    ) -> datetime:
        """The engine has given a worker this number. Returns when it ``started``, by default now."""
        facts = {"id": number, **who._asdict(), "started": started or self._now}
        facts["declares"] = declares.to_text()
        self._connection.execute(insert(workers).on_conflict_do_nothing(), [facts])
        return started or self._now

    def declared(self, living: Collection[int]) -> list[Roster]:
        """What each of the ``living`` declares; who started last is the last."""
        rows = self._connection.execute(
            select(_W.declares).where(_W.id.in_(living)).order_by(_W.started, _W.id)
        )
        return [Roster.from_text(text) for text in rows.scalars()]

    def sign_off(self, number: int) -> None:
        self._connection.execute(delete(workers).where(_W.id == number))

    def call(self, living: Collection[int]) -> Called:
        """Mark who is not among the ``living`` any more, and who is again; forget whom nobody asks about.

        Such is an older number of a process that lives, too: the engine had forgotten it.
        """
        is_dead, others = _W.id.not_in(living), workers.alias()
        same = and_(others.c.host == _W.host, others.c.pid == _W.pid, others.c.id.in_(living))
        self._connection.execute(delete(workers).where(is_dead, select(others.c.id).where(same).exists()))
        found = self._connection.execute(
            update(workers)
            .where(is_dead == _W.gone_at.is_(None))
            .values(gone_at=case((is_dead, literal(self._now, _W.gone_at.type)), else_=null()))
            .returning(_W.host, _W.pid, _W.version, _W.gone_at)
        )
        called = Called([], [])
        for *who, gone_at in found:
            (called.back if gone_at is None else called.dead).append(Worker(*who))
        self._connection.execute(delete(workers).where(_W.gone_at < self._now - _KEPT))
        return called
