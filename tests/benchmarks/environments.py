"""An environment of its own for each contender, made by uv in a cache outside the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .serving import ROOT

REQUIREMENTS = Path(__file__).with_name("requirements")
_OURS = ("ZENOVAY_", "HUBSPOT_", "SYNC_", "PYTHON", "VIRTUAL_ENV", "UV_PROJECT")


def inherited() -> dict[str, str]:
    """Our environment, but for what would set up the contenders or keep Python from caching bytecode."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "visitor-sync-benchmarks"


def pinned(name: str, cache: Path) -> Path:
    """The ``bin`` of an environment that holds ``requirements/NAME.txt``, kept until the list changes."""
    listed = REQUIREMENTS / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(listed.read_bytes() + version.encode()).hexdigest()[:12]
    folder = cache / f"{name}-{digest}"
    if not (folder / "complete").exists():
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, folder)
        _uv("pip", "sync", "--quiet", "--compile-bytecode", "--python", folder / "bin/python", listed)
        (folder / "complete").touch()
    return folder / "bin"


def installed_program(cache: Path) -> Path:
    """The ``bin`` of an environment that holds this checkout as a user installs it, made anew each time."""
    folder = cache / "visitor-sync"
    _uv(
        *("sync", "--quiet", "--locked", "--no-dev", "--no-editable", "--compile-bytecode"),
        *("--reinstall-package", "visitor-sync", "--python", sys.executable),
        project_environment=folder,
    )
    return folder / "bin"


def _uv(*arguments: str | Path, project_environment: Path | None = None) -> None:
    environment = inherited()
    if project_environment:
        environment["UV_PROJECT_ENVIRONMENT"] = str(project_environment)
    subprocess.run([_uv_program(), *arguments], cwd=ROOT, env=environment, check=True)


def _uv_program() -> str:
    """The uv that runs us, else the one on PATH, else the README's. Raises SystemExit without any."""
    at_home = Path.home() / ".uv/bin/uv"
    found = os.environ.get("UV") or shutil.which("uv") or (str(at_home) if at_home.exists() else None)
    if found is None:
        raise SystemExit("uv is not there: run the benchmark with `uv run`.")
    return found
