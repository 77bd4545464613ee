"""Log lines: the message is constant, the facts are fields; no address and no secret gets through."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from etl import redact

if TYPE_CHECKING:
    from collections.abc import Iterable

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Formatter(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        return redact.secrets(redact.addresses(self._line(record, facts)), *self._secrets)

    def _line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        raise NotImplementedError


class JsonFormatter(_Formatter):
    """One object a line."""

    def _line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = {"at": at, "level": record.levelname.lower(), "message": record.getMessage()}
        return orjson.dumps({**head, **facts}, default=str).decode()


class TextFormatter(_Formatter):
    """For people: a sentence and what belongs to it."""

    def _line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        details = " ".join(f"{name}={value}" for name, value in facts.items() if not isinstance(value, dict))
        return f"{record.levelname.lower()}: {record.getMessage()} {details}".rstrip()


def configure(log_format: str | None, secrets: Iterable[str]) -> None:
    """Send the log to stderr: text on a terminal, JSON otherwise, unless ``log_format`` says which."""
    terminal = sys.stderr.isatty()
    style = log_format or ("text" if terminal else "json")
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(TextFormatter(secrets) if style == "text" else JsonFormatter(secrets))
    logging.getLogger().addHandler(logging.NullHandler())  # what a library says may hold values
    log = logging.getLogger("etl")
    log.handlers[:] = [output]
    log.propagate = False
    log.setLevel(logging.WARNING if terminal and style == "text" else logging.INFO)
    logging.getLogger("etl.extract.forecast").setLevel(logging.INFO)  # what it will cost, people must see
