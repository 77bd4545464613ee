"""Processes that take permits from one row, as fast as that goes, and say when."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from etl.clock import SystemClock
from etl.fleet import grants
from etl.fleet.grants import Rule, Wish
from etl.fleet.limits import SharedRows
from etl.fleet.permits import permits

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

CONTEXT = multiprocessing.get_context("spawn")
SHORT = Rule(window_s=1.0, use_by_s=0.3, block=4)


def spawned(target: Callable[..., None], *arguments: Any, processes: int = 4) -> list[BaseProcess]:
    """So many processes, started; each knows its number."""
    started = [CONTEXT.Process(target=target, args=(*arguments, number)) for number in range(processes)]
    for each in started:
        each.start()
    return list(started)


def hammer(url: str, seconds: float, most: int | None, log: Any, seed: int) -> None:
    """Take, log, and sometimes give back, as fast as that goes."""
    chance, rows, clock = random.Random(seed), SharedRows(url), SystemClock()
    found, ends = [], time.monotonic() + seconds
    while time.monotonic() < ends:
        grant = rows.take("row", SHORT, Wish(chance.randint(1, 3), 20, most=most), clock)
        unused = chance.randint(0, grant.granted) if chance.random() < 0.3 else 0
        if unused:
            given_back = partial(
                grants.give_back,
                rule=SHORT,
                at=grant.standing.now,
                count=unused,
                ends=grant.standing.period_ends,
            )
            rows.change("row", given_back, clock)
        found.append((grant.standing.now, grant.granted - unused))
    rows.close()
    log.put(found)


def use(url: str, rule: Rule, limit: int, count: int, log: Any, seed: int) -> None:
    """Take permits one after the other; log when each is used, on the clock that all processes share."""
    chance, clock = random.Random(seed), SystemClock()
    with permits(url, {"row": rule}, clock) as mine:
        for _ in range(count):
            mine["row"].take(Wish(1, limit), clock, title="a test")
            log.put((os.getpid(), time.monotonic()))
            if chance.random() < 0.2:
                time.sleep(chance.random() * 0.4)  # now and then a block is too old


def hold(url: str, log: Any, _: int) -> None:
    """Take blocks, and stand still with what is left of the last."""
    clock = SystemClock()
    with permits(url, {"row": SHORT}, clock) as mine:
        for _ in range(4):
            mine["row"].take(Wish(1, 16), clock, title="a test")
        log.put(os.getpid())
        time.sleep(60)
