"""One heap for all threads."""

from __future__ import annotations

import ctypes
import sys

_M_ARENA_MAX = -8
"""``mallopt``'s name for how many heaps glibc may make; a constant of its ABI."""


def share_one_heap() -> None:
    """Keep glibc from giving each thread a heap of its own.

    The bodies of requests pass from thread to thread; what is freed in another thread's heap stays there, and
    a run over a million rows would take 16 MiB more. Other systems have no such setting, and need none.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_ARENA_MAX, 1)
