"""What was measured, as Markdown, and how it stands to what is wanted."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from os import cpu_count
from typing import TYPE_CHECKING

from . import cases, field
from .measure import Measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .cases import Plan, Sample

_HEAD = (
    "case",
    "phase",
    "who",
    "wall s",
    "CPU s",
    "peak MiB",
    "requests Z / H",
    "429s Z / H",
    "servers' CPU s",
)


def best(samples: Iterable[Sample]) -> list[Sample]:
    """Of several samples of the same thing the least time, the one least disturbed, and the largest peak."""
    together: dict[tuple[str, str, str], list[Sample]] = {}
    for sample in samples:
        together.setdefault((sample.case, sample.phase, sample.contender), []).append(sample)
    return [_best(group) for group in together.values()]


def _best(group: list[Sample]) -> Sample:
    first = group[0]
    measured = Measured(
        wall_s=min(sample.measured.wall_s for sample in group),
        cpu_s=min(sample.measured.cpu_s for sample in group),
        peak_mib=max(sample.measured.peak_mib for sample in group),
    )
    return cases.Sample(first.case, first.phase, first.contender, measured, first.counted)


def title(plan: Plan) -> str:
    """What was measured where."""
    system = f"{platform.system()} {platform.machine()}"
    where = f"{system}, {cpu_count()} cores, Python {platform.python_version()}"
    return (
        f"{plan.rows:,} rows, {datetime.now(UTC):%Y-%m-%d}, {where}; latency {plan.latency_ms:g} ms on both"
        f" sides; limits {plan.zenovay_per_minute} per minute and {plan.hubspot_per_10_s} per 10 s;"
        f" {plan.concurrency} batches at a time."
    )


def line(sample: Sample) -> str:
    """A sample, to watch the benchmark by."""
    return "  ".join(_cells(sample))


def table(samples: Sequence[Sample]) -> str:
    """Every sample, a line each."""
    return markdown(_HEAD, (_cells(sample) for sample in samples))


def _cells(sample: Sample) -> tuple[str, ...]:
    measured, counted = sample.measured, sample.counted
    return (
        sample.case,
        sample.phase,
        sample.contender,
        f"{measured.wall_s:.2f}",
        f"{measured.cpu_s:.2f}",
        f"{measured.peak_mib:.0f}",
        f"{counted.zenovay} / {counted.hubspot}",
        f"{counted.zenovay_refused} / {counted.hubspot_refused}",
        f"{counted.cpu_s:.2f}",
    )


def ratio_table(samples: Sequence[Sample]) -> str:
    """The program beside each of the others, and with all fields beside itself; "" if it was alone."""
    ours = {(each.case, each.phase): each for each in samples if each.contender == field.PROGRAM}
    lines = []
    for other in samples:
        own = ours.get((other.case, other.phase))
        if own is None or own is other or other.contender == field.FLOOR:
            continue
        one, two = (other, own) if other.contender == field.ALL_FIELDS else (own, other)
        cpu = _ratio(one.measured.cpu_s, two.measured.cpu_s)
        wall = _ratio(one.measured.wall_s, two.measured.wall_s)
        who = f"{one.contender} / {two.contender}"
        lines.append((other.case, other.phase, who, f"{cpu:.2f}", f"{wall:.2f}"))
    return markdown(("case", "phase", "ratio", "CPU", "wall"), lines) if lines else ""


@dataclass(frozen=True, slots=True)
class Goal:
    """``wanted`` is the largest value allowed."""

    what: str
    wanted: float
    is_: float
    unit: str = "times"

    @property
    def reached(self) -> bool:
        return self.is_ <= self.wanted


def goals(samples: Sequence[Sample], plan: Plan) -> list[Goal]:
    """The goals that ``samples`` say something about."""
    return [goal for goal in _goals(_Findings(samples), plan) if goal.is_ >= 0]


def goal_table(reached: Sequence[Goal]) -> str:
    return markdown(
        ("goal", "at most", "measured", ""),
        (
            (goal.what, f"{goal.wanted:g} {goal.unit}", f"{goal.is_:.2f} {goal.unit}", _word(goal))
            for goal in reached
        ),
    )


def _word(goal: Goal) -> str:
    return "reached" if goal.reached else "missed"


class _Findings:
    """Samples by case, phase and contender; a ratio with one that is not there is -1."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._found = {(each.case, each.phase, each.contender): each for each in samples}

    def get(self, case: str, phase: str, who: str = field.PROGRAM) -> Sample | None:
        return self._found.get((case, phase, who))

    def wall(self, case: str, phase: str, who: str = field.PROGRAM) -> float:
        found = self.get(case, phase, who)
        return found.measured.wall_s if found else -1.0

    def cpu(self, case: str, phase: str, who: str = field.PROGRAM) -> float:
        found = self.get(case, phase, who)
        return found.measured.cpu_s if found else -1.0

    def peak(self, case: str, phase: str) -> float:
        found = self.get(case, phase)
        return found.measured.peak_mib if found else -1.0


def _goals(found: _Findings, plan: Plan) -> Iterator[Goal]:
    run, dlt = "throughput", field.DLT
    for case, which in ((run, ""), ("mixed", "mixed rows: ")):
        for what, of in (("CPU", found.cpu), ("wall", found.wall)):
            ratio = _ratio(of(case, cases.FIRST), of(case, cases.FIRST, dlt))
            yield Goal(f"{which}first run, {what} / dlt's", 0.75, ratio)
    everything = _ratio(found.cpu("fields", cases.FIRST, field.ALL_FIELDS), found.cpu("fields", cases.FIRST))
    yield Goal("all fields: first run, CPU / three fields'", 1.4, everything)
    yield Goal(
        "no-op after the first run, wall / dlt's",
        0.4,
        _ratio(found.wall(run, cases.UNCHANGED), found.wall(run, cases.UNCHANGED, dlt)),
    )
    if unchanged := found.get(run, cases.UNCHANGED):
        yield Goal("no-op after the first run, source requests", 1, unchanged.counted.zenovay, "")
    slower = max(found.wall("latency", phase, field.FLOOR) for phase in (cases.SOURCE_ALONE, cases.CRM_ALONE))
    yield Goal(
        "with latency, wall / the slower side alone", 1.15, _ratio(found.wall("latency", cases.FIRST), slower)
    )
    if limited := found.get("limits", cases.FIRST):
        yield Goal(
            "with limits, wall / what they allow", 1.03, _ratio(limited.measured.wall_s, _allowed_s(plan))
        )
        refused = limited.counted.zenovay_refused + limited.counted.hubspot_refused
        yield Goal("with limits, 429s", 0, refused, "")
    for phase in (cases.NOTHING_YET, cases.NOTHING):
        ratio = _ratio(found.wall("start", phase), found.wall("start", phase, field.SCRIPT))
        yield Goal(f"{phase}, wall / the script's", 1.5, ratio)
    yield from _growth(found, plan)


def _growth(found: _Findings, plan: Plan) -> Iterator[Goal]:
    sizes = [f"scale, {rows:,} rows" for rows in sorted(plan.sizes)]
    if len(sizes) < 2:
        return
    smallest, middle, largest = sizes[0], sizes[len(sizes) // 2], sizes[-1]
    peak = found.peak(largest, cases.FIRST)
    yield Goal(f"{largest}: first run, peak", 100, peak, "MiB")
    yield Goal(f"{largest}: peak / {middle[7:]}", 1.15, _ratio(peak, found.peak(middle, cases.FIRST)))
    for phase in (cases.UNCHANGED, cases.CHANGES):
        ratio = _ratio(found.cpu(largest, phase), found.cpu(smallest, phase))
        yield Goal(f"{largest}: {phase}, CPU / {smallest[7:]}", 1.2, ratio)


def _ratio(one: float, other: float) -> float:
    return one / other if one >= 0 and other > 0 else -1.0


def _allowed_s(plan: Plan) -> float:
    """The seconds until the last request may be sent; 1,000 rows a page, 100 contacts a batch."""
    pages, batches = -(-plan.rows // 1000), -(-plan.rows // 100)
    zenovay_s = 60.0 * ((pages - 1) // plan.zenovay_per_minute) if plan.zenovay_per_minute else 0.0
    hubspot_s = 10.0 * ((batches - 1) // plan.hubspot_per_10_s) if plan.hubspot_per_10_s else 0.0
    return max(zenovay_s, hubspot_s)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
