"""Our block of a crontab: what it holds, and where it stands among the lines of others. Pure."""

from __future__ import annotations

import os
import shlex
from io import BytesIO
from typing import TYPE_CHECKING

from etl.envfile import printable
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.cli.scheduling.cadence import Cadence
    from etl.cli.scheduling.job import Job

_WHY, _SETTINGS = "# visitor-sync, ", "# settings: "
_CALLS = (b" run --cron", b" run --all --cron")
_EDIT = "Mend it with crontab -e, then try again."


def block(job: Job, cadence: Cadence) -> bytes:
    """The lines for one installation, between two that name its owner."""
    begin, end = _marks(job.owner)
    lines = (_WHY + cadence.sentence, _SETTINGS + job.env_file, line(job, cadence))
    return b"".join(each + b"\n" for each in (begin, *map(os.fsencode, lines), end))


def line(job: Job, cadence: Cadence) -> str:
    """The one that cron acts on. A percent sign would be a line break to it, also in quotes."""
    command = f"cd {shlex.quote(job.folder)} && {shlex.join(job.words)}"
    return f"{cadence.cron} {command.replace('%', chr(92) + '%')}"


def with_block(table: bytes, owner: str, wanted: bytes) -> bytes:
    """``table`` with the block of ``owner`` in the place of the one that was there, else at its end.

    All else stays byte for byte, but a last line that does not end gets its end. Raises SettingsError where
    the block that is there was edited.
    """
    lines = _lines(table)
    spans = _spans(lines, owner)
    if not spans:
        ended = b"" if not table or table.endswith(b"\n") else b"\n"
        return table + ended + wanted
    kept = list(_others(lines, spans))
    kept.insert(spans[0].start, wanted)
    return b"".join(kept)


def without_block(table: bytes, owner: str) -> bytes:
    """``table`` without the block of ``owner``. Raises SettingsError where that was edited."""
    lines = _lines(table)
    return b"".join(_others(lines, _spans(lines, owner)))


def _marks(owner: str) -> tuple[bytes, bytes]:
    name = os.fsencode(owner)
    return b"# BEGIN visitor-sync in " + name, b"# END visitor-sync in " + name


def _lines(table: bytes) -> list[bytes]:
    return BytesIO(table).readlines()


def _others(lines: Sequence[bytes], spans: Sequence[range]) -> Iterator[bytes]:
    return (each for number, each in enumerate(lines) if not any(number in span for span in spans))


def _spans(lines: Sequence[bytes], owner: str) -> list[range]:
    """Where the blocks of ``owner`` stand: more than one where somebody copied it."""
    begin, end = _marks(owner)
    spans: list[range] = []
    begun: int | None = None
    for number, text in enumerate(each.rstrip(b"\r\n") for each in lines):
        if text == begin and begun is None:
            begun = number
        elif text == end and begun is not None:
            spans.append(range(begun, number + 1))
            begun = None
        elif text in {begin, end}:
            raise _half(owner, number if begun is None else begun)
    if begun is not None:
        raise _half(owner, begun)
    for span in spans:
        _hold_only_ours(lines, span)
    return spans


def _hold_only_ours(lines: Sequence[bytes], span: range) -> None:
    comments = (_WHY.encode(), _SETTINGS.encode())
    for number in span[1:-1]:
        text = lines[number].strip()
        if text and not text.startswith(comments) and not text.endswith(_CALLS):
            raise SettingsError(
                f"Line {number + 1} of the crontab stands between our two marker lines, and is not ours.",
                fix="Move it out with crontab -e, then try again.",
            )


def _half(owner: str, number: int) -> SettingsError:
    return SettingsError(
        f"Line {number + 1} of the crontab is one of our two marker lines for {printable(owner)}, and the"
        " other is missing.",
        fix=_EDIT,
    )
