"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

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


def _sweep(path: Path) -> None:
    """Remove the drafts that killed processes left."""
    with suppress(OSError), os.scandir(path.parent) as found:
        for each in found:
            is_draft = each.name.startswith(f".{path.name}.") and each.name.endswith(".draft")
            if is_draft and time.time() - each.stat().st_mtime > _ABANDONED_S:
                Path(each.path).unlink()
