"""What is wrong with a portal or a key for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Trouble = Literal["down", "gone", "slow", "revoked"]
"""Answers 503; cuts the connection; takes ten seconds; refuses the token or the key."""

SLOW_S = 10.0
OUTAGES = {"down": 503, "gone": 0}
"""The status of an answer; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Begins when it is ordered, and ends by itself ``seconds`` later, or when it is mended."""

    who: str
    trouble: Trouble
    seconds: float = 1e9


class Faults:
    """The faults that hold now. ``now`` counts seconds, as for ``Window``."""

    def __init__(self) -> None:
        self._faults: dict[str, tuple[Trouble, float]] = {}

    def begin(self, fault: Fault, now: float) -> None:
        self._faults[fault.who] = fault.trouble, now + fault.seconds

    def mend(self, who: str) -> None:
        self._faults.pop(who, None)

    def of(self, who: str, now: float) -> Trouble | None:
        trouble, until = self._faults.get(who, (None, 0.0))
        return trouble if now < until else None
