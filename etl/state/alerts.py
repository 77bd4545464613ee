"""Which alerts are on, and the messages that are still to be sent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, delete, select, update

from etl.instants import instant, instant_or_none, microseconds
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, new, overwritten, value

if TYPE_CHECKING:
    from datetime import datetime

    from etl.state.statements import Row, Statements

CLAIM = timedelta(minutes=2)
"""Who has begun to send a message and has not said so for longer was killed."""

_A, _M = tables.alerts.c, tables.messages.c
_MINE = and_(_A.website == value("of_website"), _A.condition == value("of_condition"))
_GET = Prepared(lambda _: select(_A.holds, _A.since, _A.judged).where(_MINE).with_for_update())
_ADD = Insertion(tables.alerts, "website", "condition", "holds", "since", "judged")
_CHANGE = Prepared(
    lambda _: update(tables.alerts).values(overwritten("holds", "since", "judged")).where(_MINE)
)
_QUEUE = Insertion(tables.messages, "channel", "text", "made")
_OLDEST = Prepared(
    lambda _: (
        select(_M.id, _M.channel, _M.text, _M.made, _M.claimed)
        .where(_M.channel == value("of_channel"))
        .order_by(_M.id)
        .limit(1)
        .with_for_update()
    )
)
_CLAIM = Prepared(
    lambda _: update(tables.messages).values(overwritten("claimed")).where(_M.id == value("of"))
)
_DROP = Prepared(lambda _: delete(tables.messages).where(_M.id == value("of")))


class AlertState(NamedTuple):
    """Whether a condition ``holds``, ``since`` when, and the instant of the reading ``judged`` last."""

    holds: bool
    since: datetime
    judged: datetime


class Message(NamedTuple):
    """What is to be sent over a channel, by the channel's name."""

    id: int
    channel: str
    text: str
    made: datetime


class Alerts:
    """Alerts and messages, inside one transaction. Instants are of our clock."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def get(self, website: str, condition: str) -> AlertState | None:
        row = self._statements.row(_GET, of_website=website, of_condition=condition)
        return _alert(row) if row else None

    def put(self, website: str, condition: str, alert: AlertState) -> None:
        values = (alert.holds, microseconds(alert.since), microseconds(alert.judged))
        named = {new(name): each for name, each in zip(AlertState._fields, values, strict=True)}
        place = {"of_website": website, "of_condition": condition}
        if self._statements.change(_CHANGE, **named, **place) == 0:
            self._statements.add(_ADD, website, condition, *values)

    def queue(self, channel: str, text: str, made: datetime) -> None:
        """Have a message sent, whatever becomes of this process."""
        self._statements.add(_QUEUE, channel, text, microseconds(made))

    def claim(self, channel: str, now: datetime) -> Message | None:
        """The oldest message for ``channel``, ours for as long as CLAIM.

        None where there is none, or somebody else is sending it: what came later has to wait.
        """
        row = self._statements.row(_OLDEST, of_channel=channel)
        if row is None:
            return None
        message, claimed = _message(row)
        if claimed and now - CLAIM <= claimed <= now:
            return None
        self._statements.change(_CLAIM, of=message.id, new_claimed=microseconds(now))
        return message

    def release(self, message: Message) -> None:
        """It could not be sent: whoever looks next may try."""
        self._statements.change(_CLAIM, of=message.id, new_claimed=None)

    def sent(self, message: Message) -> None:
        self._statements.change(_DROP, of=message.id)


@of_a_row
def _alert(row: Row) -> AlertState:
    holds, since, judged = row
    return AlertState(bool(holds), instant(since), instant(judged))


@of_a_row
def _message(row: Row) -> tuple[Message, datetime | None]:
    """A message, and since when somebody has been sending it."""
    number, channel, text, made, claimed = row
    return Message(int(number), str(channel), str(text), instant(made)), instant_or_none(claimed)
