"""Where the time of a first run goes, and that of a start: ``python -m tests.benchmarks.profile --help``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .cases import FIRST, bench
from .environments import default_cache, inherited
from .field import program
from .measure import measure
from .report import markdown
from .servers import World

if TYPE_CHECKING:
    from .field import Contender

STOPWATCH = Path(__file__).with_name("contenders") / "stopwatch.py"
IMPORTS = ("", "urllib3", "sqlalchemy", "pydantic_settings", "urllib3, sqlalchemy, pydantic_settings, click")
_TIMES = 10


def parts(rows: int, contender: Contender, python: str) -> dict[str, float]:
    """CPU seconds of a first run of ``contender`` over ``rows``, by part."""
    watched = replace(
        contender,
        run=(python, str(STOPWATCH), *contender.run[1:]),
        settings={**contender.settings, "PROFILE": "{folder}/profile.json"},
    )
    with bench("profile", watched, World(rows)) as opened:
        opened.run(FIRST, contacts=rows)
        spent: dict[str, float] = json.loads((opened.folder / "profile.json").read_text())
        return spent


def starts(python: str) -> dict[str, float]:
    """Wall seconds of an interpreter that imports these and ends, the least of several."""
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
    contender = program(asked.cache, concurrency=4)
    python = str(Path(contender.run[0]).with_name("python"))
    spent = parts(asked.rows, contender, python)
    rows = ((part, f"{cpu_s:.2f}", f"{cpu_s / asked.rows * 1e6:.1f}") for part, cpu_s in spent.items())
    print(markdown(("part of a first run", "CPU s", "µs a row"), rows))
    started = ((names or "nothing", f"{wall_s * 1000:.0f}") for names, wall_s in starts(python).items())
    print(f"\n{markdown(('an interpreter that imports', 'ms'), started)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
