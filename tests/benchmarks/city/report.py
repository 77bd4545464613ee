"""What the books of a simulation say, as a table in Markdown."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from .books import HUBSPOT, ZENOVAY
from .findings import BEGINNING, exceeded, lateness, lost, overlaps, read_again, starts, strangers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .simulation import Course, Phase

_HEADINGS = (
    ("portals / websites / keys / workers", "plan"),
    ("minutes, deaths of workers", "length"),
    ("runs, a second", "runs"),
    ("late beyond the interval: half / 99 % / worst, s", "late"),
    ("websites never read", "starved"),
    ("overlapping runs", "overlaps"),
    ("requests beyond a limit", "exceeded"),
    ("closest to a limit", "peak"),
    ("visitors lost / strangers", "lost"),
    ("back after a death: half / worst, s", "back"),
    ("no run anywhere for, s", "silence"),
    ("CPU of the workers a run, in trouble / quiet, ms", "cpu"),
    ("requests: Zenovay + HubSpot / permits", "requests"),
    ("connections to PostgreSQL", "connections"),
    ("exit codes of the workers", "ended"),
)


def table(courses: Sequence[Course]) -> str:
    columns = [facts(course) for course in courses]
    rows = [" | ".join([title, *(column[name] for column in columns)]) for title, name in _HEADINGS[1:]]
    title, name = _HEADINGS[0]
    head = " | ".join([title, *(column[name] for column in columns)])
    rule = "|".join(["---"] * (len(columns) + 1))
    return "\n".join(f"| {row} |" if row != rule else f"|{rule}|" for row in (head, rule, *rows))


def facts(course: Course) -> dict[str, str]:
    """What there is to say, by the names of the rows."""
    plan, books, script = course.script.plan, course.books, course.script
    late = lateness(books, plan, begun=course.begun, ended=course.ended, without=course.troubled)
    every = sorted(seconds for each in late.values() for seconds in each)
    runs = sum(each.what == BEGINNING for each in books.requests)
    asked = Counter(each.side for each in books.requests)
    return {
        "plan": f"{len(plan.portals)} / {len(plan.sites)} / {len(plan.keys)} / {script.workers}",
        "length": f"{(course.ended - course.begun) / 60:.0f}, {len(course.deaths)}",
        "runs": f"{runs}, {runs / (course.ended - course.begun):.2f}",
        "late": f"{_part(every, 0.5):.1f} / {_part(every, 0.99):.1f} / {every[-1]:.1f}",
        "starved": str(_starved(course)),
        "overlaps": str(len(overlaps(books, plan))),
        "exceeded": str(sum(exceeded(books).values())),
        "peak": _closest(course),
        "lost": f"{len(lost(books, plan))} / {len(strangers(books, plan))}",
        "back": _back(course),
        "silence": f"{max(_silences(course), default=0.0):.1f}",
        "cpu": f"{_per_run(course.busy)} / {_per_run(course.quiet)}",
        "requests": f"{asked[ZENOVAY]} + {asked[HUBSPOT]} / {course.permits}",
        "connections": str(course.connections),
        "ended": ", ".join(map(str, course.exit_codes)),
    }


def returns(course: Course) -> list[float]:
    """Of every run of a calm portal that a death cut short, the seconds until its website was read again."""
    gaps = (
        (read_again(course.books, name.partition("/")[2], death.at), course.ended - death.at)
        for death in course.deaths
        for name in death.cut
        if name.partition("/")[0] not in course.troubled
    )
    return sorted(never if gap is None else gap for gap, never in gaps)


def _starved(course: Course) -> int:
    """Websites whose interval passed within the simulation and that nobody read."""
    seen, length = starts(course.books), course.ended - course.begun
    paused, *_ = course.troubled
    return sum(
        site.website not in seen and site.every_s < length and site.portal != paused
        for site in course.script.plan.sites
    )


def _silences(course: Course) -> list[float]:
    instants = sorted(each.arrived for each in course.books.requests if each.what == BEGINNING)
    return [after - before for before, after in pairwise(instants)]


def _back(course: Course) -> str:
    seconds = returns(course)
    return f"{_part(seconds, 0.5):.0f} / {seconds[-1]:.0f} ({len(seconds)} runs)" if seconds else "none cut"


def _closest(course: Course) -> str:
    """The limit of which the largest share was used within one of its windows."""
    name, limit = max(course.books.limits.items(), key=lambda each: each[1].peak / each[1].limit)
    return f"{limit.peak} of {limit.limit} ({name})"


def _per_run(phase: Phase) -> str:
    return f"{phase.cpu_s / phase.runs * 1000:.0f}" if phase.runs else "-"


def _part(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
