"""One heap for all threads, and cycles looked for seldom."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache

_M_ARENA_MAX = -8
"""``mallopt``'s name for how many heaps glibc may make; a constant of its ABI."""

_MORE_THAN_IMPORTS_MAKE = 1_000_000
_SELDOM = (5_000, 10, 10)


def start_without_collecting() -> None:
    """What is imported stays: to look for cycles in it takes a tenth of a run that finds nothing to do."""
    gc.set_threshold(_MORE_THAN_IMPORTS_MAKE)


@cache
def collect_seldom() -> None:
    """Look for cycles among what is made from now on, and no more in what was imported before.

    Rows and contacts refer to nothing that refers back, but each request leaves some dozen objects that do:
    a run over a million rows would keep 10 MiB of them, were they looked for less often. Once in a process:
    what a run has left in cycles would be kept for good, were it set aside by the next one.
    """
    gc.freeze()
    gc.set_threshold(*_SELDOM)


@cache
def share_one_heap() -> None:
    """Keep glibc from giving each thread a heap of its own.

    The bodies of requests pass from thread to thread; what is freed in another thread's heap stays there, and
    a run over a million rows would take 16 MiB more. Other systems have no such setting, and need none.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_ARENA_MAX, 1)
