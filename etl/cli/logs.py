"""Log lines: the message is constant, the facts are fields; no address and no secret gets through."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import orjson

from etl import redact
from etl.cli.early import Early
from etl.cli.people import visible, visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from etl.cli.logfile import LogFile
    from etl.settings import SyncSettings

portal: ContextVar[str | None] = ContextVar("portal", default=None)
"""What the portal is called that this thread is at work for, where there are several."""


@contextmanager
def of_portal(name: str | None) -> Iterator[None]:
    """Have this thread's lines name the portal, if there is one, meanwhile."""
    before = portal.set(name)
    try:
        yield
    finally:
        portal.reset(before)


_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Formatter(logging.Formatter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if name := portal.get():
            facts.setdefault("portal_name", name)
        return redact.secrets(redact.addresses(self._line(record, facts)), *self._secrets)

    def _line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        raise NotImplementedError


class JsonFormatter(_Formatter):
    """One object a line."""

    def _line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        head = {"at": _instant(record), "level": record.levelname.lower(), "message": record.getMessage()}
        try:
            return orjson.dumps({**head, **facts}, default=str).decode()
        except TypeError:  # a text that is not UTF-8, or a number of more than 64 bits
            return json.dumps({**head, **facts}, default=str)


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class TextFormatter(_Formatter):
    """For people: a sentence and what belongs to it; ``dated`` where they read it later.

    What has a ``what`` is a sentence by itself, such as an error.
    """

    def __init__(self, secrets: Iterable[str], *, dated: bool = False) -> None:
        super().__init__(secrets)
        self._dated = dated

    def _line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        at = f"{_instant(record)} " if self._dated else ""
        if "what" in facts:
            return at + _sentence(record, facts)
        details = " ".join(
            f"{name}={visible(str(value))}" for name, value in facts.items() if not isinstance(value, dict)
        )
        return f"{at}{record.levelname.lower()}: {record.getMessage()} {details}".rstrip()


def _sentence(record: logging.LogRecord, facts: dict[str, Any]) -> str:
    level = "hint" if record.levelno == logging.INFO else record.levelname.lower()
    place = "/".join(visible(facts[name]) for name in ("portal_name", "website") if facts.get(name))
    what, fix = facts["what"], facts.get("fix")
    between = "\n" if "\n" in what else " "
    return f"{level}: {place}{': ' if place else ''}" + visible_lines(
        f"{what}{between}{fix}" if fix else what
    )


_chosen: str | None = None


def choose(level: str) -> None:
    """Have the log hold what is of ``level`` or above, and a terminal show it; said before anything is."""
    global _chosen  # noqa: PLW0603 -- of the process, as the log itself
    _chosen = level


def chosen() -> str | None:
    """The level that somebody chose; None where it is as usual."""
    return _chosen


def configure(log_format: str | None, secrets: Sequence[str], file: LogFile | None = None) -> None:
    """Send the log to stderr: text on a terminal, JSON otherwise, unless ``log_format`` says which.

    And to ``file``. One that cannot be written is told on stderr, once.
    """
    output = _stderr(log_format, secrets)
    logging.getLogger().addHandler(logging.NullHandler())  # what a library says may hold values
    works = file is not None and file.works()
    _log_to(output, *([_formatted(file, log_format, secrets)] if file and works else []))
    if file and not works:
        facts = {"action": "log_file_failed", "file": str(file.path), "why": file.fault}
        logging.getLogger(__name__).warning("the log file of SYNC_LOG_FILE cannot be written", extra=facts)


def follow(settings: SyncSettings, secrets: Sequence[str]) -> None:
    """Send the log to where the settings say."""
    from etl.cli.logfile import LogFile  # noqa: PLC0415 -- few have one

    path = settings.log_file
    configure(settings.log_format, secrets, LogFile(path) if path else None)


def for_people(log_format: str | None = None) -> bool:
    """Whether stderr says text: on a terminal, unless settings, or before them the environment, differ."""
    stated = log_format or os.environ.get("SYNC_LOG_FORMAT", "").strip().lower()
    return stated == "text" if stated in {"text", "json"} else sys.stderr.isatty()


def reach_stderr() -> None:
    """Have stderr say what the log says, also before the settings are read and where only a file has it."""
    handlers = logging.getLogger("etl").handlers
    streams = [each for each in handlers if type(each) is logging.StreamHandler]
    if not any(each.stream is sys.stderr for each in streams):
        _log_to(*(each for each in handlers if each not in streams), _stderr(None, ()))


def _stderr(log_format: str | None, secrets: Sequence[str]) -> logging.Handler:
    text = for_people(log_format)
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(TextFormatter(secrets) if text else JsonFormatter(secrets))
    if text and sys.stderr.isatty() and _chosen is None:
        output.addFilter(_for_people)
    return output


def configure_unattended(log_format: str | None, secrets: Sequence[str], file: LogFile | None) -> None:
    """Send the log to ``file`` alone, and what libraries and Python itself have to say as well.

    Where it cannot be written, its ``fault`` says why, and the log is lost.
    """
    output = _formatted(file, log_format, secrets) if file and file.works() else logging.NullHandler()
    _log_to(output)
    logging.getLogger().handlers[:] = [output]
    catch_strays()


def catch_strays() -> None:
    """Have the log say what Python itself would print: warnings, and how a thread ended."""
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable


def _log_to(*outputs: logging.Handler) -> None:
    log = logging.getLogger("etl")
    early = [record for each in log.handlers if isinstance(each, Early) for record in each.taken()]
    log.handlers[:] = [each for each in outputs if not isinstance(each, Early)]
    log.propagate = False
    log.setLevel(_chosen.upper() if _chosen else logging.INFO)
    for record in early:
        if log.isEnabledFor(record.levelno):
            log.handle(record)


def _formatted(file: LogFile, log_format: str | None, secrets: Sequence[str]) -> LogFile:
    text = log_format == "text"
    file.setFormatter(TextFormatter(secrets, dated=True) if text else JsonFormatter(secrets))
    return file


def _for_people(record: logging.LogRecord) -> bool:
    """What a terminal shows: what is wrong, and what it will cost."""
    return (
        record.levelno >= logging.WARNING or hasattr(record, "what") or record.name == "etl.extract.forecast"
    )


def _log_thread(args: threading.ExceptHookArgs) -> None:
    _log_bug("a thread ended with an error", args.exc_value)


def _log_unraisable(args: sys.UnraisableHookArgs) -> None:
    _log_bug("an error could not be raised", args.exc_value)


def _log_bug(message: str, exc: BaseException | None) -> None:
    where = [
        f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(exc.__traceback__ if exc else None)
    ]
    facts = {"action": "unexpected", "error": type(exc).__name__, "place": where[-1:]}
    if not logging.getLogger("etl").handlers:
        configure(None, ())
    logging.getLogger(__name__).error(message, extra=facts)
