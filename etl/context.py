"""What a thread knows of what it is at work for, passed on to the threads that it starts."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_this_context() -> Callable[[], None]:
    """What has another thread know what this one knows now, once it is called there."""
    known = copy_context()

    def take_over() -> None:
        for variable, value in known.items():
            variable.set(value)

    return take_over
