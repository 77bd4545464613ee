"""The benchmark does the job on its servers, counts what happened and reports it. Nothing here is timed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from benchmarks import cases, field, report
from benchmarks.cases import Bench, Plan, bench
from benchmarks.field import FLOOR, PROGRAM, SCRIPT, Contender
from benchmarks.measure import ContenderFailedError, Measured
from benchmarks.rows import MIXED, address, contacts
from benchmarks.servers import World
from benchmarks.serving import Counted, serving
from program import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 200
BATCH = "/crm/objects/2026-03/contacts/batch/upsert"
CONTENDERS = Path(cases.__file__).with_name("contenders")
PLAN = Plan(
    rows=ROWS,
    sizes=(ROWS,),
    names=(),
    latency_ms=0,
    zenovay_per_minute=30,
    hubspot_per_10_s=190,
    concurrency=4,
    cache=Path("/nowhere"),
)
SETTINGS = {"SYNC_STATE_URL": "sqlite:///{folder}/state.db", "HUBSPOT_REQUESTS_PER_10_SECONDS": "1000"}


@pytest.fixture
def opened() -> Iterator[Bench]:
    contender = Contender(PROGRAM, (str(COMMAND), "run", "--now"), SETTINGS)
    with bench("throughput", contender, World(ROWS)) as ready:
        yield ready


def test_the_program_does_the_job_and_its_requests_are_counted(opened: Bench) -> None:
    first = opened.run(cases.FIRST, contacts=ROWS)
    opened.servers.arrive(new=2)
    later = opened.run(cases.NEW, contacts=ROWS + 2)
    assert (first.counted.zenovay, first.counted.zenovay_refused) == (1, 0)
    looks = 2  # whether one with an address, and one without, is there already
    assert (later.counted.hubspot, later.counted.hubspot_refused) == (looks + 1, 0)
    assert first.measured.peak_mib > 1


def test_visitors_seen_again_are_no_new_contacts(opened: Bench) -> None:
    opened.run(cases.FIRST, contacts=ROWS)
    opened.servers.arrive(new=3, again=5, alone=True)
    requests = opened.run(cases.CHANGES, contacts=ROWS + 3).counted.hubspot
    assert requests == 4  # two looks at the new ones and an upsert of them, an update of the others


@pytest.mark.parametrize(
    ("name", "arguments"), [(FLOOR, ("floor.py", "both", str(ROWS), "2")), (SCRIPT, ("script.py",))]
)
def test_the_scripts_send_as_much_as_the_program(name: str, arguments: tuple[str, ...]) -> None:
    command = (sys.executable, str(CONTENDERS / arguments[0]), *arguments[1:])
    with bench("throughput", Contender(name, command), World(ROWS)) as opened:
        counted = opened.run(cases.FIRST).counted
    assert (counted.zenovay, counted.hubspot) == (1, 2)


def test_of_ten_mixed_rows_two_have_no_address_and_one_has_an_earlier_one() -> None:
    addresses = [address(MIXED, number) for number in range(10_000)]
    earlier = {each: number for number, each in reversed(list(enumerate(addresses)))}
    back = [
        number - earlier[each] for number, each in enumerate(addresses) if earlier[each] < number and each
    ]

    assert addresses.count(None) == 2000
    assert len(back) == 1000
    assert sum(distance < 10 for distance in back) == 500
    assert sum(distance >= 1000 for distance in back) > 400
    assert contacts(MIXED, 10_000) == len(set(addresses) - {None}) == 7000


def test_mixed_rows_are_listed_oldest_first_and_all_of_them() -> None:
    with serving(World(ROWS, shape=MIXED)) as servers:
        servers.arrive(new=5)
        page = f"{servers.zenovay_url}/analytics/w1/visitors?range=30d&limit=150&offset="
        answers = [httpx.get(f"{page}{offset}").json()["data"] for offset in (0, 150)]
    rows = [row for answer in answers for row in answer["visitors"]]
    assert [answer["pagination"]["has_more"] for answer in answers] == [True, False]
    assert len({row["id"] for row in rows}) == len(rows) == ROWS + 5
    assert rows == sorted(rows, key=lambda row: str(row["visited_at"]))


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ((str(COMMAND), "run", "--now"), SETTINGS | {"SYNC_ANONYMOUS": "skip"}),
        ((sys.executable, str(CONTENDERS / "script.py")), {"SKIP_ANONYMOUS": "yes"}),
    ],
    ids=["program", "script"],
)
def test_of_mixed_rows_all_contacts_are_made_and_no_other(
    command: tuple[str, ...], settings: dict[str, str]
) -> None:
    with bench("mixed", Contender(PROGRAM, command, settings), World(ROWS, shape=MIXED)) as opened:
        opened.run(cases.FIRST, contacts=contacts(MIXED, ROWS))
        opened.servers.arrive(new=20)
        opened.run(cases.NEW, contacts=contacts(MIXED, ROWS + 20))


def test_all_fields_are_measured_only_where_the_program_has_such_a_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = Contender(PROGRAM, (str(COMMAND), "run", "--now"), SETTINGS)
    monkeypatch.setattr(cases, "program", lambda *_, **__: ready)
    monkeypatch.setattr(field, "_FIELDS", "SYNC_NONSENSE")

    assert list(cases.fields(replace(PLAN, names=(PROGRAM,)))) == []
    assert "NOT MEASURED" in capsys.readouterr().err

    monkeypatch.setattr(field, "_FIELDS", "SYNC_ANONYMOUS")
    able = field.with_all_fields(ready)
    assert able is not None
    assert able.settings["SYNC_ANONYMOUS"] == "everything"


def test_a_contender_that_leaves_contacts_out_has_failed(opened: Bench) -> None:
    with pytest.raises(ContenderFailedError, match="holds 0 of 200"):
        opened.instead(sys.executable, "-c", "pass").run(cases.FIRST, contacts=ROWS)


def test_a_contender_that_crashes_has_failed_with_its_last_words(opened: Bench) -> None:
    with pytest.raises(ContenderFailedError, match="out of luck"):
        opened.instead(sys.executable, "-c", "raise SystemExit('out of luck')").run(cases.FIRST)


def test_requests_over_the_limit_are_refused_and_counted() -> None:
    with serving(World(ROWS, zenovay_per_minute=1, hubspot_per_10_s=1)) as servers:
        pages = [httpx.get(f"{servers.zenovay_url}/analytics/w1/visitors?range=30d") for _ in range(2)]
        batches = [httpx.post(servers.hubspot_url + BATCH, json={"inputs": []}) for _ in range(3)]
        counted = servers.counted()
    assert [reply.status_code for reply in (*pages, *batches)] == [200, 429, 200, 429, 429]
    assert 0 < int(pages[1].headers["Retry-After"]) <= 60
    assert (counted.zenovay, counted.zenovay_refused) == (2, 1)
    assert (counted.hubspot, counted.hubspot_refused) == (3, 2)


def sample(phase: str, who: str, wall_s: float, *, zenovay: int = 1) -> cases.Sample:
    measured = Measured(wall_s, cpu_s=wall_s, peak_mib=50.0)
    return cases.Sample("throughput", phase, who, measured, Counted(zenovay, 0, 2, 0, ROWS, 0.1))


def test_the_report_names_what_was_measured_and_which_goals_were_missed() -> None:
    samples = [
        sample(cases.FIRST, PROGRAM, 5.0),
        sample(cases.FIRST, "dlt", 10.0),
        sample(cases.UNCHANGED, PROGRAM, 3.0, zenovay=4),
        sample(cases.UNCHANGED, "dlt", 6.0),
    ]
    stands = {goal.what: (round(goal.is_, 2), goal.reached) for goal in report.goals(samples, PLAN)}
    assert stands == {
        "first run, CPU / dlt's": (0.5, True),
        "first run, wall / dlt's": (0.5, True),
        "no-op after the first run, wall / dlt's": (0.5, False),
        "no-op after the first run, source requests": (4, False),
    }
    assert "| throughput | first run | visitor-sync | 5.00 | 5.00 | 50 | 1 / 2 |" in report.table(samples)


def test_the_program_is_put_beside_the_others_and_all_fields_beside_the_program() -> None:
    samples = [
        sample(cases.FIRST, PROGRAM, 5.0),
        sample(cases.FIRST, "dlt", 10.0),
        sample(cases.FIRST, FLOOR, 1.0),
        sample(cases.FIRST, field.ALL_FIELDS, 6.0),
    ]
    assert report.ratio_table(samples).splitlines()[2:] == [
        "| throughput | first run | visitor-sync / dlt | 0.50 | 0.50 |",
        "| throughput | first run | visitor-sync, all fields / visitor-sync | 1.20 | 1.20 |",
    ]
    assert report.ratio_table(samples[:1]) == ""


def test_of_repeated_samples_the_least_disturbed_counts() -> None:
    quiet = sample(cases.FIRST, PROGRAM, 4.0)
    loud = sample(cases.FIRST, PROGRAM, 9.0)
    larger = replace(loud, measured=replace(loud.measured, peak_mib=80.0))
    (kept,) = report.best([larger, quiet])
    assert (kept.measured.wall_s, kept.measured.peak_mib) == (4.0, 80.0)


def test_the_profile_knows_every_part_of_a_run(tmp_path: Path) -> None:
    place = tmp_path / "profile.json"
    command = (sys.executable, str(CONTENDERS / "stopwatch.py"), "run", "--now")
    with bench(
        "profile", Contender(PROGRAM, command, SETTINGS | {"PROFILE": str(place)}), World(ROWS)
    ) as opened:
        opened.run(cases.FIRST, contacts=ROWS)

    spent = json.loads(place.read_text())
    assert min(spent.values()) > 0
    assert spent["everything"] == max(spent.values())
