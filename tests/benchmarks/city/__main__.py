"""The command line: ``python -m tests.benchmarks.city --help``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from .plan import city_of
from .report import table
from .simulation import Script, simulate


def main() -> int:
    """Simulate each size in turn and print a table."""
    asked = _parser().parse_args()
    courses = []
    for portals in asked.portals:
        plan = city_of(
            portals=portals,
            sites=portals * asked.sites_each,
            keys=max(1, portals // 10),
            every_s=asked.every,
            pause_s=asked.pause,
            latency_ms=tuple(asked.latency_ms),
            per_minute=asked.per_minute,
        )
        script = Script(
            plan,
            workers=asked.workers,
            concurrency=asked.concurrency,
            minutes=asked.minutes,
            settle_s=asked.settle,
            quiet_minutes=asked.quiet_minutes,
            kill_every_s=asked.kill_every,
            seed=asked.seed,
        )
        with TemporaryDirectory(prefix="fleet-") as passing:
            folder = (asked.logs or Path(passing)) / f"{portals}-portals"
            folder.mkdir(parents=True, exist_ok=True)
            courses.append(simulate(script, folder, _say))
        print(table(courses[-1:]), file=sys.stderr, flush=True)
    print(table(courses))
    return 0


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.city",
        description="Let a fleet work in a city of portals on loopback, kill its workers, and count.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--portals", type=int, nargs="+", default=[10], help="how many; each size is a simulation")
    add("--sites-each", type=int, default=10, help="websites of a portal; a key is shared by ten portals")
    add("--workers", type=int, default=4)
    add("--concurrency", type=int, default=4, help="of each worker")
    add("--minutes", type=float, default=8.0, help="of trouble, after a minute of first runs")
    add("--settle", type=float, default=30.0, help="seconds after the trouble before idle runs are measured")
    add("--quiet-minutes", type=float, default=4.0, help="without new visitors, to measure idle runs")
    add("--every", type=int, nargs="+", default=[300, 600, 900], help="intervals of websites, in seconds")
    add("--pause", type=float, nargs="+", default=[0, 0, 30, 300], help="between visits; 0 is none, ever")
    add("--latency-ms", type=float, nargs=2, default=[20, 200], help="the least and the most")
    add("--per-minute", type=int, default=30, help="requests that a key has")
    add("--kill-every", type=float, default=60.0, help="seconds, about")
    add("--seed", type=int, default=7)
    add("--logs", type=Path, help="keep what the workers log in this folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
