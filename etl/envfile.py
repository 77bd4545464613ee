"""Files of settings, ``.env`` above all: whether they are there, and what keeps them from being read."""

from __future__ import annotations

import codecs
from io import StringIO
from pathlib import Path
from stat import S_ISFIFO

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from etl.errors import SettingsError

DEFAULT = ".env"
"""Looked for in the working directory, where no other file is chosen."""

ENCODING = "utf-8-sig"
"""Editors of Windows put a mark before UTF-8, which would become part of the first name."""

_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_FIX = "Save it as UTF-8 text with a line NAME=value each, like .env.example."


_chosen: str | None = None


def choose(path: str) -> None:
    """Have the settings read from ``path``, which must then be there; said before anything is read."""
    global _chosen  # noqa: PLW0603 -- of the process, as its environment and its working directory are
    try:
        _chosen = str(Path(path).expanduser())
    except RuntimeError:  # nobody knows whose home that is
        _chosen = path


def chosen() -> str:
    """The file from which the settings are read."""
    return DEFAULT if _chosen is None else _chosen


def is_chosen() -> bool:
    """Whether somebody named the file."""
    return _chosen is not None


def place(name: str) -> str:
    """Where a file of that name is looked for, as it may be shown."""
    try:
        return printable(str(Path.cwd() / name))
    except OSError:
        return f"{name} in the working directory, which is not there any more"


def printable(text: str) -> str:
    """``text`` with its undecodable bytes spelt out."""
    return text.encode(errors="backslashreplace").decode()


def read(name: str) -> dict[str, str | None] | None:
    """What the file sets, by name; None where there is none.

    Raises SettingsError, which quotes nothing, where it cannot be read, or was chosen and is not there.
    """
    text = text_of(name, fix=_FIX)
    if text is None and is_chosen():
        raise SettingsError(
            f"--env-file names {place(name)}, which is not there.",
            fix=f"Correct it, or leave it out: then {DEFAULT} of the working directory is read.",
        )
    if text is None:
        return None
    bindings = list(parse_stream(StringIO(text)))
    wrong = [binding.original.line for binding in bindings if binding.error]
    if wrong:
        raise SettingsError(f"{place(name)}: line {wrong[0]} is no NAME=value.", fix=_FIX)
    if "${" in text:
        return dotenv_values(stream=StringIO(text))
    return {binding.key: binding.value for binding in bindings if binding.key is not None}


def text_of(name: str, *, fix: str) -> str | None:
    """What the file holds; None where there is none. Raises SettingsError, with ``fix``, if it is no text."""
    path = Path(name)
    try:
        if S_ISFIFO(path.stat().st_mode):
            raise SettingsError(f"{place(name)} is a pipe, not a file.", fix=fix)
        written = path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise SettingsError(
                f"{place(name)} is a link to a file that is not there.", fix="Mend the link, or remove it."
            ) from None
        return None
    except (OSError, ValueError) as exc:
        cause = exc.strerror if isinstance(exc, OSError) else "that is no path"
        raise SettingsError(
            f"{place(name)} cannot be read: {cause}.", fix="Let the user that runs this read it."
        ) from exc
    if fault := _fault(written):
        raise SettingsError(f"{place(name)}: {fault}.", fix=fix)
    return written.decode(ENCODING)


def _fault(written: bytes) -> str | None:
    if written.startswith(_WIDE_MARKS) or written.count(0) > len(written) // 3:
        return "it is written in UTF-16 or UTF-32"
    try:
        written.decode(ENCODING)
    except UnicodeDecodeError as exc:
        return f"line {_line(written, exc.start)} holds a byte that is not UTF-8"
    return f"line {_line(written, written.index(0))} holds a NUL byte" if 0 in written else None


def _line(written: bytes, offset: int) -> int:
    return written.count(b"\n", 0, offset) + 1
