"""The day of a HubSpot account, of which only good answers tell before it is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.load.statuses import day_spent

if TYPE_CHECKING:
    from etl.clock import Clock
    from etl.load.circuit import Circuit
    from etl.network.reply import Reply


class Day:
    """Ends the requests of a run once an answer says that nothing of the day remains."""

    def __init__(self, circuit: Circuit, clock: Clock) -> None:
        self._circuit = circuit
        self._clock = clock

    def heed(self, reply: Reply) -> None:
        if error := day_spent(reply, now=self._clock.now()):
            self._circuit.open(error)
