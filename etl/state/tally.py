"""What is counted against one limit, as the state holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.models.reading import Quota

_SAME_US = 1000
"""An instant that is counted back from now differs from time to time by no more than this."""

Beside = tuple[list[int], int]
"""When others have sent requests, in microseconds, and how many of them no run has counted yet."""


class Tally(NamedTuple):
    """What the limits hold of an API. ``stated`` and ``quota`` are None where nothing is to be written."""

    sent: Sequence[int]
    stated: int | None
    quota: Quota | None

    def covers(self, other: Tally) -> bool:
        """Whether nothing was sent or stated since, so that ``other`` need not be written."""
        return other.stated in (None, self.stated) and _is_end_of(self.sent, other.sent)


def _is_end_of(written: Sequence[int], sent: Sequence[int]) -> bool:
    """Whether ``sent`` has nothing that is not ``written``: older requests leave the window by themselves."""
    last = written[len(written) - len(sent) :]
    return len(sent) <= len(written) and all(
        abs(one - other) <= _SAME_US for one, other in zip(last, sent, strict=True)
    )
