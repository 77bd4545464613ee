"""The command line: ``python -m tests.benchmarks --help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import report
from .cases import CASES, Plan, Sample
from .environments import default_cache
from .field import EVERYBODY
from .measure import ContenderFailedError


def main() -> int:
    """Run the cases in turn and print a table. Returns the exit code: 1 if a contender failed."""
    asked = _parser().parse_args()
    plan = Plan(
        rows=asked.rows,
        sizes=tuple(asked.sizes),
        names=tuple(asked.contenders),
        latency_ms=asked.latency_ms,
        zenovay_per_minute=asked.zenovay_per_minute,
        hubspot_per_10_s=asked.hubspot_per_10_s,
        concurrency=asked.concurrency,
        cache=asked.cache,
    )
    samples: list[Sample] = []
    failed = False
    for _ in range(asked.repeat):
        for case in asked.cases:
            failed |= _run(case, plan, samples)
    measured = report.best(samples)
    print(f"{report.title(plan)}\n\n{report.table(measured)}")
    if beside := report.ratio_table(measured):
        print(f"\n{beside}")
    if reached := report.goals(measured, plan):
        print(f"\n{report.goal_table(reached)}")
    return int(failed)


def _run(case: str, plan: Plan, samples: list[Sample]) -> bool:
    """Add the samples of a case. Returns whether a contender failed."""
    try:
        for sample in CASES[case](plan):
            samples.append(sample)
            print(report.line(sample), file=sys.stderr, flush=True)
    except ContenderFailedError as failure:
        print(failure, file=sys.stderr)
        return True
    return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Run visitor-sync and others on loopback servers and print what each costs, as Markdown.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rows", type=int, default=100_000, help="rows in the source; each is a contact")
    add("--sizes", type=int, nargs="+", default=[1000, 10_000, 1_000_000], help="rows in the case scale")
    add("--cases", nargs="+", choices=CASES, default=["start", "throughput", "mixed", "fields", "latency"])
    add("--contenders", nargs="+", choices=EVERYBODY, default=EVERYBODY, metavar="NAME")
    add("--latency-ms", type=float, default=50.0, help="before each answer, in the case latency")
    add("--zenovay-per-minute", type=int, default=30, help="requests, in the case limits; 0 for any number")
    add("--hubspot-per-10-s", type=int, default=190, help="requests, in the case limits; 0 for any number")
    add("--concurrency", type=int, default=4, help="batches at a time, where a contender can")
    add("--repeat", type=int, default=1, help="all of it so often; the least disturbed counts")
    add("--cache", type=Path, default=default_cache(), help="where the environments are kept")
    return parser


if __name__ == "__main__":
    sys.exit(main())
