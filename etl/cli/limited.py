"""What a state says of its limits, where it shares them with others."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.clock import Clock
    from etl.settings import Shared
    from etl.state.store import Transaction


@contextmanager
def limited(shared: Shared | None, state: Transaction | None, clock: Clock) -> Iterator[None]:
    """Have a state that was opened to be read say what the shared rows know. Raises StateError."""
    if shared is None or state is None:
        yield
        return
    from etl.cli.sharing import shared_stops  # noqa: PLC0415 -- a fleet alone needs it

    with shared_stops(shared, clock) as stops:
        state.limited_by(stops)
        yield
