"""Where the time of a first run goes, and that of a start: ``python -m tests.benchmarks.profile --help``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from .cases import FIRST, bench
from .environments import default_cache, inherited, installed_program
from .field import program
from .measure import measure
from .report import markdown
from .servers import World

STOPWATCH = Path(__file__).with_name("contenders") / "stopwatch.py"
IMPORTS = ("", "httpx", "sqlalchemy", "pydantic_settings", "httpx, sqlalchemy, pydantic_settings, click")
_TIMES = 10


def parts(rows: int, cache: Path) -> dict[str, float]:
    """CPU seconds of a first run over ``rows``, by part."""
    contender = program(cache, concurrency=4)
    python = str(Path(contender.run[0]).with_name("python"))
    watched = (python, str(STOPWATCH), *contender.run[1:])
    with bench("profile", replace(contender, run=watched), World(rows)) as opened:
        place = opened.folder / "profile.json"
        told = replace(opened.contender, settings={**contender.settings, "PROFILE": str(place)})
        replace(opened, contender=told).run(FIRST, contacts=rows)
        spent: dict[str, float] = json.loads(place.read_text())
        return spent


def starts(cache: Path) -> dict[str, float]:
    """Wall seconds of an interpreter that imports these and ends, the least of several."""
    python = str(installed_program(cache) / "python")
    with TemporaryDirectory() as folder:
        return {
            names: min(
                measure(
                    (python, "-c", f"import {names}" if names else ""),
                    folder=Path(folder),
                    environment=inherited(),
                ).wall_s
                for _ in range(_TIMES)
            )
            for names in IMPORTS
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profile", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows in the source; each is a contact")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where the environment is kept")
    asked = parser.parse_args()
    spent = parts(asked.rows, asked.cache)
    rows = ((part, f"{cpu_s:.2f}", f"{cpu_s / asked.rows * 1e6:.1f}") for part, cpu_s in spent.items())
    print(markdown(("part of a first run", "CPU s", "µs a row"), rows))
    started = ((names or "nothing", f"{wall_s * 1000:.0f}") for names, wall_s in starts(asked.cache).items())
    print(f"\n{markdown(('an interpreter that imports', 'ms'), started)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
