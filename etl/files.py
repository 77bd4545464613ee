"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABANDONED_S = 3600
"""So old a draft is nobody's any more."""


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write ``content`` beside ``path``, then move it there: a killed process leaves what was there before.

    The file has ``mode``, whatever the umask. Of several that write at once each writes a whole file. Raises
    OSError; nothing is left beside then.
    """
    opened, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".draft", dir=path.parent)
    try:
        with os.fdopen(opened, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sweep(path)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A private draft beside ``path``, to be written inside, which then gets that name if it is still free.

    Raises FileExistsError where it is not, OSError; nothing is left beside then.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    opened, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".draft", dir=path.parent)
    draft = Path(name)
    try:
        yield draft
        os.fsync(opened)
        _give_name(draft, path)
    finally:
        os.close(opened)
        with suppress(OSError):
            draft.unlink()
    _sweep(path)


def _give_name(draft: Path, path: Path) -> None:
    """By a link, which never replaces; where the file system has none, at the risk of an instant."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise
        draft.rename(path)


def _sweep(path: Path) -> None:
    """Remove the drafts that killed processes left."""
    with suppress(OSError), os.scandir(path.parent) as found:
        for each in found:
            is_draft = each.name.startswith(f".{path.name}.") and each.name.endswith(".draft")
            if is_draft and time.time() - each.stat().st_mtime > _ABANDONED_S:
                Path(each.path).unlink()
