"""The process of a city: it reads its plan from a line of stdin, prints its ports, and then obeys orders.

Each order and each answer is a line of JSON. The end of stdin ends it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import orjson

from .books import HUBSPOT, ZENOVAY, written
from .callers import Callers
from .faults import Fault, Faults
from .plan import CityPlan, read_plan
from .portals import Portals
from .wire import Ledger, Wire
from .zenovay import Zenovay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .answer import Answer, Call
    from .windows import Window

_LONGEST_LINE = 2**24


class Servers:
    """Both sides, and the orders that they are given."""

    def __init__(self, plan: CityPlan) -> None:
        self._plan = plan
        self._faults = Faults()
        self._zenovay = Zenovay(plan, self._faults, time.time())
        self._portals = Portals(plan, self._faults)
        self._ledger = Ledger(Callers())
        self._cpu_s = time.process_time()

    async def start(self) -> dict[str, int]:
        """Returns the ports, by side."""
        sides = {ZENOVAY: self._zenovay.answer, HUBSPOT: self._portals.answer}
        return {side: await self._listen(side, answer) for side, answer in sides.items()}

    async def _listen(self, side: str, answer: Callable[[Call], Answer]) -> int:
        def connection() -> Wire:
            return Wire(side, answer, self._ledger, latency_ms=self._plan.latency_ms)

        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        if "fault" in order:
            self._faults.begin(Fault(**order["fault"]), time.monotonic())
        if "mend" in order:
            self._faults.mend(order["mend"])
        if "quiet" in order:
            self._zenovay.quiet_since = time.time()
        if "processes" in order:
            self._ledger.callers.likely = order["processes"]
        return self._books(order["since"]) if "since" in order else {}

    def _books(self, since: int) -> dict[str, Any]:
        """Everything, but of the requests only those after the first so many."""
        visits, served = self._zenovay.visits, self._zenovay.served
        return {
            "requests": self._ledger.entries[since:],
            "limits": {name: window.as_json() for name, window in self._windows()},
            "portals": {each.name: each.records.visitors() for each in self._portals.by_token.values()},
            "websites": {name: visits[name].expected(at) for name, at in served.items()},
            "cpu_s": time.process_time() - self._cpu_s,
        }

    def _windows(self) -> Iterator[tuple[str, Window]]:
        for key in self._zenovay.keys.values():
            yield f"{key.name}/minute", key.minute
            yield f"{key.name}/month", key.month
        for portal in self._portals.by_token.values():
            yield f"{portal.name}/10 s", portal.ten_seconds
            yield f"{portal.name}/day", portal.day
            yield f"{portal.name}/search", portal.second


async def _serve() -> None:
    orders = asyncio.StreamReader(_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    servers = Servers(read_plan((await orders.readline()).decode()))
    _say(await servers.start())
    while line := await orders.readline():
        _say(servers.obey(orjson.loads(line)))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(written(answer))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(_serve())
