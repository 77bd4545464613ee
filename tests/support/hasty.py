"""``fleet worker`` whose minutes are seconds: ticks, heartbeats, patience, and the least interval.

It is a process of its own, forked from a server that has imported the program already.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

from warm import ON_DEMAND

from etl import declaration
from etl.cli import main
from etl.fleet import engine, worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["etl.cli", "etl.cli.fleet.working", "etl.cli.wiring", *ON_DEMAND])

EACH_SECOND = "* * * * * *"
STALE_S = 4.0
SLICE = 3


def start_worker(
    *arguments: str, environment: Mapping[str, str], folder: Path, log: Path
) -> ForkServerProcess:
    """Its stderr goes to the file ``log``."""
    process = _SERVER.Process(target=_be, args=(arguments, dict(environment), str(folder), str(log)))
    process.start()
    return process


def _be(arguments: tuple[str, ...], environment: dict[str, str], folder: str, log: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    sys.argv = ["visitor-sync", "fleet", "worker", *arguments]
    with (
        patch.object(engine, "EACH_MINUTE", EACH_SECOND),
        patch.object(engine, "HEARTBEAT_S", 0.5),
        patch.object(engine, "STALE_S", STALE_S),
        patch.object(worker, "PATIENCE_S", 3.0),
        patch("etl.cli.fleet.work.SLICE", SLICE),
        patch.object(declaration, "LEAST", timedelta(seconds=1)),
    ):
        main()
