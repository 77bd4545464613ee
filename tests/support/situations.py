"""What several tests bring about, or wait for."""

from __future__ import annotations

import ctypes
import time
from typing import TYPE_CHECKING

from program import row
from sqlalchemy import text

from etl.state.database import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from program import Program

_PR_CAPBSET_DROP, _CAPABILITIES = 24, 64
ANN, BOB = "ann.damaged@example.test", "bob.damaged@example.test"


def synced(program: Program) -> None:
    """One contact that is delivered, one that is refused, and one that is due."""
    program.visitors(row(1, email=ANN), row(2, email=BOB), row(3))
    program.sandbox.hubspot.refused_addresses[BOB] = "no"
    assert program.run().exit_code == 3
    program.replace_visitors(row(1, email=ANN, minutes_ago=0, pageviews=9), row(4, minutes_ago=0))


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_lock(program: Program) -> dict[str, object]:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        lock = program("status", "--json").value["lock"]
        if lock:
            return dict(lock)
    raise AssertionError("no run took the lock")


def terminate_others(url: str) -> None:
    with connect(url) as connection, connection.begin():
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def without_privileges() -> None:
    """Obey the permission bits, even as root: no capability survives the next exec."""
    libc = ctypes.CDLL(None)
    for capability in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
