"""The live counts on a terminal, refreshed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.text import Text

from etl.cli.display import console
from etl.cli.people import visible
from etl.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from etl.extract.live import LiveCount


class Board:
    """A line for each code: its last count, when that was, and what keeps a newer one from being shown."""

    def __init__(self, codes: Iterable[str]) -> None:
        self._counts: dict[str, LiveCount | None] = dict.fromkeys(codes)
        self._troubles: dict[str, str] = {}
        self._live = Live(console=console(), auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, code: str, outcome: LiveCount | SyncError) -> None:
        if isinstance(outcome, SyncError):
            self._troubles[code] = str(outcome)
        else:
            self._counts[code] = outcome
            self._troubles.pop(code, None)
        self._live.update(Text("\n".join(visible(self._line(code)) for code in self._counts)), refresh=True)

    def _line(self, code: str) -> str:
        count, trouble = self._counts[code], self._troubles.get(code)
        if count is None:
            return f"{code}: {trouble or '…'}"
        at = f"{count.at:%H:%M:%S}Z"
        return f"{code}: {count} at {at}; {trouble}" if trouble else f"{code}: {count} now ({at})"
