"""``visitor-sync backfill``, from outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from program import row

if TYPE_CHECKING:
    from program import Program


def day(days_ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days_ago)).date().isoformat()


def test_a_backfill_brings_its_days_and_never_moves_the_watermark(program: Program) -> None:
    for days_ago in range(1, 61):
        program.visitors(row(days_ago, minutes_ago=days_ago * 24 * 60))

    ended = program("backfill", "--from", day(50), "--to", day(41), "--json")

    assert ended.exit_code == 0
    summary = ended.summary
    assert summary["kind"] == "backfill"
    assert summary["window"]["range"] == "90d"
    assert summary["watermark"] == {"before": None, "after": None}
    assert summary["contacts"]["created"] == 10
    assert len(program.sandbox.hubspot.contacts) == 10

    again = program("backfill", "--from", day(50), "--to", day(41), "--json").summary
    assert again["contacts"]["unchanged"] == 10
    assert again["requests"]["hubspot"] == 0


def test_old_days_never_overwrite_newer_facts(program: Program) -> None:
    program.visitors(row(1, minutes_ago=30, country_code="KR", pageviews=9))
    program.run()
    program.visitors(row(1, minutes_ago=20 * 24 * 60, country_code="FR", pageviews=2))

    program("backfill", "--from", day(25), "--to", day(15))

    (contact,) = program.sandbox.hubspot.contacts.values()
    assert (contact["country"], contact["zenovay_pageviews"]) == ("South Korea", "9")


def test_an_instant_as_end_is_exclusive(program: Program) -> None:
    edge = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    program.visitors(
        row(1, last_seen=edge.isoformat()),
        row(2, last_seen=(edge - timedelta(seconds=1)).isoformat()),
        row(3, last_seen=(edge - timedelta(hours=1)).isoformat()),
    )

    since = (edge - timedelta(hours=1)).isoformat()
    summary = program("backfill", "--from", since, "--to", edge.isoformat(), "--json").summary

    assert summary["rows"]["accepted"] == 2
    assert summary["rows"]["out_of_window"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "yesterday"), "--from"),
        (("--from", day(5), "--to", day(9)), "--to"),
        (("--from", day(-3)), "future"),
        (("--from", day(700)), "365 days"),
        ((), "--from"),
    ],
)
def test_a_range_that_cannot_be_had_is_a_clear_error(
    program: Program, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = program("backfill", *arguments)

    assert ended.exit_code == 2
    assert sentence in ended.stderr
    assert len(program.sandbox.zenovay.requests) == 0


def test_a_dry_run_of_a_backfill_writes_nothing(program: Program) -> None:
    program.visitors(row(1, minutes_ago=3 * 24 * 60))

    summary = program("backfill", "--from", day(5), "--dry-run", "--json").summary

    assert summary["contacts"]["created"] == 1
    assert program.sandbox.hubspot.contacts == {}
    assert list(program.folder.iterdir()) == []
