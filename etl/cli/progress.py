"""The progress display of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from etl.cli.display import console
from etl.cli.people import visible

if TYPE_CHECKING:
    from types import TracebackType


class Progress:
    """Rows read, contacts delivered, the rate, and why nothing moves when nothing moves."""

    def __init__(self, website: str) -> None:
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[rows]} rows read, {task.completed} contacts delivered"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[why]}", markup=False),
            console=console(stderr=True),
            transient=True,
        )
        self._rows = 0
        self._task = self._bars.add_task(visible(website), total=None, rows=0, rate="", why="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def rows_read(self, rows: int) -> None:
        self._rows += rows
        self._bars.update(self._task, rows=self._rows, why="")

    def contacts_settled(self, contacts: int) -> None:
        self._bars.update(self._task, advance=contacts, why="")
        speed = self._bars.tasks[0].speed
        self._bars.update(self._task, rate=f"{speed:,.0f}/s" if speed else "")

    def waits(self, seconds: float, why: str) -> None:
        """Called from the threads that read and deliver."""
        self._bars.update(self._task, why=f"waiting {seconds:.0f} s: {why}")
