"""Where ``run --cron`` keeps its log, and the memory of what it told."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from etl.errors import SyncError
from etl.files import replace
from etl.settings import chosen_portal, load_places
from etl.state.urls import default_url, parse_url, place, sqlite_path
from etl.watch.troubles import Memory, from_json

if TYPE_CHECKING:
    from sqlalchemy import URL

    from etl.settings import PlaceSettings

LOG_NAME = "sync.log"


@dataclass(frozen=True, slots=True)
class Keepsake:
    """The memory, in the first of ``paths`` that can be written; the others are for when the first cannot."""

    paths: tuple[Path, ...]

    def of(self, name: str) -> Keepsake:
        """A memory of its own beside this one."""
        return Keepsake(tuple(path.with_name(f"{path.stem}-{name}{path.suffix}") for path in self.paths))

    def load(self) -> Memory:
        """All that is remembered; nothing where nothing can be read."""
        memory = Memory()
        for path in sorted(self.paths, key=_changed):
            with suppress(OSError):
                memory = memory.merged(from_json(path.read_text(encoding="utf-8", errors="replace")))
        return memory

    def save(self, memory: Memory) -> bool:
        """Keep it in one place. Returns whether that was possible."""
        for path in self.paths:
            if _written(path, memory.as_json()):
                for other in self.paths:
                    if other != path:
                        with suppress(OSError):
                            other.unlink()
                return True
        return False


def find() -> tuple[Path | None, Keepsake]:
    """Where the log is to be written, and where the memory is kept.

    Where the settings do not say, or cannot be read, that is in the user's state directory. The memory is
    each state's own, also where two share a directory.
    """
    settings = load_places()
    home, spare = _state_folder(), _spare_folder()
    state = _state_url(settings) if settings else None
    path = sqlite_path(state) if state else None
    beside = path.absolute().with_name(LOG_NAME) if path else home and home / LOG_NAME
    log = (settings and settings.log_file) or beside
    first = log.with_name(f"{log.stem}-{_digest(place(state))}.json") if log and state else None
    told = f"told-{_digest(_working_directory() + (chosen_portal() or ''))}.json"
    others = [folder / told for folder in (home, spare) if folder]
    return log, Keepsake(tuple(path for path in (first, *others) if path))


def _state_url(settings: PlaceSettings) -> URL | None:
    """The state that the settings name; None where that is not to be understood."""
    try:
        return parse_url(settings.state_url or default_url())
    except (SyncError, RuntimeError, OSError):
        return None


def _state_folder() -> Path | None:
    from platformdirs import user_state_path  # noqa: PLC0415 -- as in etl.state.urls

    try:
        return user_state_path("visitor-sync")
    except (RuntimeError, OSError, KeyError):
        return None


def _spare_folder() -> Path | None:
    """A directory of our own among the temporary ones, made if need be; None where somebody else made it."""
    try:
        folder = Path(tempfile.gettempdir()) / f"visitor-sync-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if ours else None


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _written(path: Path, text: str) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(path, text.encode())
    except OSError:
        return False
    return True


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="surrogateescape"), digest_size=4).hexdigest()
