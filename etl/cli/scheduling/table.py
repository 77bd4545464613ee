"""The crontab of the current user: read, and replaced as a whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from etl.cli.scheduling.tools import ask, is_there
from etl.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

_NONE = re.compile(r"exit 1|.*(no crontab|no such file).*", re.IGNORECASE)
"""How the various crons say that a user has no table."""

_SPELT = {b"\r": rb"\r", b"\b": rb"\b"}


def change(edited: Callable[[bytes], bytes]) -> bool:
    """Put what ``edited`` makes of the table in its place. Returns whether that was a change.

    Raises SettingsError where crontab is missing or refuses, UnavailableError where somebody else changes
    the table at the same time.
    """
    before = _read()
    after = edited(before)
    if after == before:
        return False
    if _read() != before:
        raise UnavailableError("The crontab was changed meanwhile, and is left so.", fix="Try again.")
    _write(after)
    if _read() != after:
        raise UnavailableError(
            "The crontab is not what was written just now.", fix="crontab -l shows it; try again."
        )
    return True


def _read() -> bytes:
    """The table; empty where there is none."""
    if not is_there("crontab"):
        raise SettingsError(
            "There is no command crontab here.",
            fix="Install cron (the package is cron, or cronie), or take visitor-sync schedule systemd.",
        )
    answer = ask("crontab", "-l")
    if answer.code == 0:
        return _unescaped(answer.output)
    if answer.code == 1 and not answer.output and _NONE.fullmatch(answer.complaint):
        return b""
    raise SettingsError(
        f"crontab -l failed: {answer.complaint}.",
        fix="Nothing was changed; see that it works, then try again.",
    )


def _unescaped(listed: bytes) -> bytes:
    """What the table really holds. Debian's crontab spells out some control characters, but to an editor.

    So a backslash r may be just that, or the carriage return of a line that came from Windows.
    """
    if not any(spelt in listed for spelt in _SPELT.values()):
        return listed
    edited = ask("crontab", "-e")
    if edited.code == 0 and listed in {edited.output, _spelt_out(edited.output)}:
        return edited.output
    raise SettingsError(
        "crontab -l does not show control characters as they are, so the table cannot be written back.",
        fix="Put the lines of visitor-sync schedule in by hand, with crontab -e.",
    )


def _spelt_out(table: bytes) -> bytes:
    for control, spelt in _SPELT.items():
        table = table.replace(control, spelt)
    return table


def _write(table: bytes) -> None:
    answer = ask("crontab", "-", feed=table) if table else ask("crontab", "-r")
    if answer.code:
        raise SettingsError(
            f"crontab did not take the new table: {answer.complaint}.",
            fix="See that it does so, then try again; crontab -l shows what it holds.",
        )
