"""Who takes part: the program and those it is measured beside."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .environments import inherited, installed_program, pinned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .serving import Serving

PROGRAM = "visitor-sync"
ALL_FIELDS = "visitor-sync, all fields"
FLOOR = "floor"
SCRIPT = "script"
DLT = "dlt"
OFFICIAL = "official client"

EVERYBODY = (PROGRAM, FLOOR, SCRIPT, DLT, OFFICIAL)
_SCRIPTS = Path(__file__).with_name("contenders")
_UNLIMITED = 10_000
_FIELDS = "SYNC_FIELDS"


@dataclass(frozen=True, slots=True)
class Contender:
    """``run`` is the command that does the job; what it remembers it keeps in its working directory."""

    name: str
    run: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)

    def environment(self, serving: Serving, folder: Path) -> dict[str, str]:
        return {
            **inherited(),
            "ZENOVAY_API_KEY": "zv_benchmark",
            "ZENOVAY_WEBSITE_ID": "w1",
            "ZENOVAY_BASE_URL": serving.zenovay_url,
            "HUBSPOT_ACCESS_TOKEN": "pat-benchmark",
            "HUBSPOT_BASE_URL": serving.hubspot_url,
            **{name: value.format(folder=folder) for name, value in self.settings.items()},
        }


def program(
    cache: Path,
    *,
    concurrency: int,
    zenovay_per_minute: int = 0,
    hubspot_per_10_s: int = 0,
    skip_anonymous: bool = False,
) -> Contender:
    """This checkout, installed, and told the limits of both sides; 0 is none."""
    settings = {
        "ZENOVAY_REQUESTS_PER_MINUTE": str(zenovay_per_minute or _UNLIMITED),
        "HUBSPOT_REQUESTS_PER_10_SECONDS": str(hubspot_per_10_s or _UNLIMITED),
        "HUBSPOT_CONCURRENCY": str(concurrency),
        "SYNC_ANONYMOUS": "skip" if skip_anonymous else "upsert",
        "SYNC_STATE_URL": "sqlite:///{folder}/state.db",
    }
    command = installed_program(cache) / PROGRAM
    return Contender(PROGRAM, (str(command), "run", "--now"), settings)


def with_all_fields(contender: Contender) -> Contender | None:
    """The program, told to sync every field that it knows; None while it has no such setting."""
    asked = "from etl.settings import known_variables; print(*known_variables())"
    python = Path(contender.run[0]).with_name("python")
    told = subprocess.run([python, "-c", asked], env=inherited(), capture_output=True, check=True, text=True)
    if _FIELDS not in told.stdout.split():
        return None
    return replace(contender, name=ALL_FIELDS, settings={**contender.settings, _FIELDS: "everything"})


def floor(cache: Path, *, contacts: int, sides: str = "both", concurrency: int = 1) -> Contender:
    python = str(pinned("httpx", cache) / "python")
    arguments = (sides, str(contacts), str(concurrency))
    return Contender(FLOOR, (python, str(_SCRIPTS / "floor.py"), *arguments))


def peer(name: str, cache: Path, *, skip_anonymous: bool = False) -> Contender:
    """Somebody else's way of doing the job: SCRIPT, DLT or OFFICIAL."""
    requirements, file = {
        SCRIPT: ("httpx", "script.py"),
        DLT: ("dlt", "dlt_pipeline.py"),
        OFFICIAL: ("official", "official.py"),
    }[name]
    settings = {"SKIP_ANONYMOUS": "yes"} if skip_anonymous else {}
    if name == DLT:
        settings |= {
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "ERROR",
            "DLT_DATA_DIR": "{folder}/dlt",
        }
    python = str(pinned(requirements, cache) / "python")
    return Contender(name, (python, str(_SCRIPTS / file)), settings)
