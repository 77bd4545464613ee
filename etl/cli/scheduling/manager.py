"""The current user's own systemd: unit files put in place, started, and taken away."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from etl.cli.scheduling.tools import ask, is_there
from etl.cli.scheduling.units import SERVICE, TIMER, owner_of
from etl.envfile import printable
from etl.errors import SettingsError, SyncError
from etl.files import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

_REACH = (
    "Log in as this user, not by su or sudo; XDG_RUNTIME_DIR must name /run/user/UID. Where systemd does not"
    " run: visitor-sync schedule cron."
)


def place() -> Path:
    """The directory of the user's units."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(configured) if Path(configured).is_absolute() else _home() / ".config"
    return base / "systemd" / "user"


def install(units: Mapping[str, str], owner: str) -> None:
    """Put the units of ``owner`` in place and start the timer; else all is as before.

    Raises SettingsError where a file is not ours to replace, or systemd does not take them.
    """
    before = {place() / name: _ours(place() / name, owner) for name in units}
    _require_systemctl()
    try:
        for name, text in units.items():
            _write(place() / name, text.encode())
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", TIMER)
    except SyncError:
        _put_back(before)
        raise


def remove(owner: str) -> bool:
    """Stop the timer and take the units of ``owner`` away. Returns whether there were any.

    Raises SettingsError where a file is not ours to delete, or systemd does not let go; the files are then
    still there.
    """
    there = [path for name in (TIMER, SERVICE) if _ours(path := place() / name, owner) is not None]
    if not there:
        return False
    _require_systemctl()
    if there[0].name == TIMER:
        _systemctl("disable", "--now", TIMER)
    for path in there:
        _delete(path)
    with suppress(SyncError):  # it is off and gone already
        _systemctl("daemon-reload")
    return True


def lingers() -> bool:
    """Whether the user's timers run also while the user is not logged in."""
    if not is_there("loginctl"):
        return False
    try:
        answer = ask("loginctl", "show-user", str(os.getuid()), "--property=Linger")
    except SyncError:
        return False
    return answer.code == 0 and answer.output.strip() == b"Linger=yes"


def _ours(path: Path, owner: str) -> bytes | None:
    """What the file holds; None where there is none. Raises SettingsError where it is not for ``owner``."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if not path.is_symlink():
            return None
        content = b""
    except OSError as exc:
        raise SettingsError(f"{_shown(path)} cannot be read: {exc.strerror}.", fix="Look at it.") from exc
    found = owner_of(content.decode(errors="replace"))
    if found is None:
        raise SettingsError(
            f"{_shown(path)} was not made by visitor-sync schedule, and is left as it is.",
            fix="Move it away, or take visitor-sync schedule cron.",
        )
    if found != owner:
        raise SettingsError(
            f"{_shown(path)} belongs to the installation in {found}, and is left as it is.",
            fix="Take visitor-sync schedule --remove there first, or cron here: it takes several.",
        )
    return content


def _put_back(before: Mapping[Path, bytes | None]) -> None:
    """As it was, as far as that is possible: there is an error to be told already."""
    with suppress(SyncError):
        if before[place() / TIMER] is None:
            _systemctl("disable", "--now", TIMER)
    for path, content in before.items():
        with suppress(OSError):
            if content is None:
                path.unlink()
            else:
                replace(path, content)
    with suppress(SyncError):
        _systemctl("daemon-reload")


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(path, content)
    except OSError as exc:
        raise SettingsError(
            f"{_shown(path)} cannot be written: {exc.strerror}.", fix="Let this user write there."
        ) from exc


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise SettingsError(
            f"{_shown(path)} cannot be deleted: {exc.strerror}.", fix="Delete it by hand."
        ) from exc


def _require_systemctl() -> None:
    if not is_there("systemctl"):
        raise SettingsError(
            "There is no command systemctl here.", fix="Without systemd: visitor-sync schedule cron."
        )


def _systemctl(*arguments: str) -> None:
    answer = ask("systemctl", "--user", *arguments)
    if answer.code:
        raise SettingsError(
            f"systemctl --user {' '.join(arguments)} failed, and nothing was changed: {answer.complaint}.",
            fix=_REACH,
        )


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise SettingsError("This user has no home directory for units.", fix="Set HOME.") from None


def _shown(path: Path) -> str:
    return printable(str(path))
