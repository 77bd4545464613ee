"""The log's own file: readable by its owner, bounded, and never the reason why a run does not happen."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import TextIOWrapper
    from logging import LogRecord

SIZE = 1024 * 1024
KEPT = 5
"""So many full files are kept beside the one that is written."""


class LogFile(RotatingFileHandler):
    """``fault`` is why it cannot be written, once that has happened."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=SIZE, backupCount=KEPT, encoding="utf-8", delay=True)
        self.fault: str | None = None

    @property
    def path(self) -> Path:
        return Path(self.baseFilename)

    def works(self) -> bool:
        """Open it now. Returns whether lines can be written."""
        try:
            self.stream = self.stream or self._open()
        except (OSError, ValueError) as exc:
            self.fault = _why(exc)
            return False
        return True

    def _open(self) -> TextIOWrapper:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK  # a pipe without a reader: an error
        return os.fdopen(os.open(self.path, flags, 0o600), "a", encoding="utf-8", errors="backslashreplace")

    def doRollover(self) -> None:  # noqa: N802 -- the standard library's name
        """Where the directory allows no renaming, or another run was faster, go on within the bounds."""
        try:
            super().doRollover()
        except OSError as exc:
            self.fault = f"it cannot be rotated: {_why(exc)}"
            self.stream = self._open()
            if os.fstat(self.stream.fileno()).st_size > SIZE // 2:
                self.stream.truncate(0)

    def handleError(self, record: LogRecord) -> None:  # noqa: ARG002, N802 -- the standard library's
        """A line that cannot be written is lost; nothing is printed."""
        self.fault = self.fault or _why(sys.exc_info()[1])

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def _why(exc: BaseException | None) -> str:
    return (getattr(exc, "strerror", None) or type(exc).__name__) if exc else "it cannot be written"
