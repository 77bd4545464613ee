"""What is logged before it is known where to, as by the settings that say so."""

from __future__ import annotations

import logging


class Early(logging.Handler):
    """Keeps records until a log is configured, or until the end."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[logging.LogRecord] = []
        logging.getLogger("etl").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record)

    def taken(self) -> list[logging.LogRecord]:
        """What is kept, once."""
        kept, self.kept = self.kept, []
        return kept
