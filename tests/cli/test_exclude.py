"""``[exclude]``: whom the file leaves out is neither stored beyond the id nor sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from program import row

if TYPE_CHECKING:
    from program import Program

ANN, BO, CY = "ann@example.test", "bo@staff.example.org", "cy@example.org"


@pytest.fixture
def stateful(program: Program, state_url: str) -> Program:
    """The program with a state of either kind."""
    if not state_url.startswith("sqlite"):
        program.settings["SYNC_STATE_URL"] = state_url
    return program


def exclude(program: Program, *lines: str) -> None:
    (program.folder / "visitor-sync.toml").write_text("\n".join(["[exclude]", *lines]))


def addresses(program: Program) -> set[str]:
    return set(program.sandbox.hubspot.snapshot())


def test_who_is_excluded_is_neither_stored_nor_sent(program: Program) -> None:
    exclude(
        program,
        'domains = ["Example.ORG"]',
        'addresses = [" ANN@example.test "]',
        'visitors = ["v000004"]',
        'countries = ["fr", "South Korea"]',
    )
    program.visitors(
        row(1, email="Ann@example.test"),
        row(2, email=BO),
        row(3, email=CY),
        row(4),
        row(5, country_code="FR"),
        row(6, country_code=None, country="Republic of Korea"),
        row(7, email="di@notexample.org"),
    )

    summary = program.run().summary

    assert (summary["rows"]["excluded"], summary["rows"]["accepted"]) == (6, 1)
    assert addresses(program) == {"di@notexample.org"}
    stored = b"".join(path.read_bytes() for path in program.folder.glob("state.db*"))
    assert [each for each in (ANN, BO, CY) if each.encode() in stored] == []
    assert program.run().summary["requests"]["hubspot"] == 0


def test_a_country_counts_also_where_its_field_is_off(program: Program) -> None:
    program.settings["SYNC_FIELDS"] = "last_seen"
    exclude(program, 'countries = ["CH"]')
    program.visitors(row(1), row(2, country_code="FR"), row(3, country_code=17))

    ended = program.run()

    assert (ended.exit_code, ended.summary["rows"]["excluded"]) == (0, 1)
    assert addresses(program) == {"v000002", "v000003"}


def test_who_becomes_excluded_leaves_the_contact(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2, email=ANN))
    program.run()
    assert program.sandbox.hubspot.snapshot()[ANN]["zenovay_pageviews"] == "6"
    exclude(program, 'countries = ["FR"]')
    program.visitors(row(1, email=ANN, country_code="FR", minutes_ago=0))

    ended = program.run()

    assert ended.summary["rows"]["excluded"] > 0
    assert program.sandbox.hubspot.snapshot()[ANN]["zenovay_pageviews"] == "3"


def test_a_change_of_the_table_strips_what_is_stored_and_lifts_what_was_excluded(stateful: Program) -> None:
    stateful.visitors(row(1, email=ANN), row(2, email=BO), row(3, email=CY), row(4, country_code="FR"))
    stateful.run()
    stateful.replace_visitors()

    exclude(stateful, 'domains = ["example.org"]', 'countries = ["FR"]')
    stateful.visitors(row(9, email="zoe@example.test"))
    assert stateful.run().exit_code == 0

    counts = {
        key: stateful("forget", key, "--dry-run", "--json").value["forgotten"][0] for key in (ANN, BO, CY)
    }
    assert {key: each["known"] for key, each in counts.items()} == {ANN: True, BO: False, CY: False}
    assert addresses(stateful) == {ANN, BO, CY, "v000004", "zoe@example.test"}

    exclude(stateful, 'addresses = ["nobody@example.test"]')
    stateful.visitors(row(2, email=BO, pageviews=50, minutes_ago=0))
    assert stateful.run().summary["rows"]["excluded"] == 0
    assert stateful.sandbox.hubspot.snapshot()[BO]["zenovay_pageviews"] == "50"


def test_an_opt_out_outlives_an_exclusion(program: Program) -> None:
    exclude(program, 'countries = ["CH"]')
    program.visitors(row(1, gpc_opted_out=True))
    program.run()
    (program.folder / "visitor-sync.toml").unlink()
    program.replace_visitors(row(1, minutes_ago=0))

    assert program.run().summary["rows"]["opted_out"] == 1
    assert addresses(program) == set()


def test_a_dry_run_counts_them_and_changes_nothing(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    before = program.state_file.read_bytes()
    exclude(program, f'addresses = ["{ANN}"]')

    assert program("run", "--dry-run", "--json").summary["rows"]["excluded"] == 1
    assert program.state_file.read_bytes() == before


def test_everything_that_is_wrong_is_told_at_once_and_no_value(program: Program) -> None:
    exclude(
        program,
        'domain = ["example.org"]',
        'addresses = "ann@example.test"',
        'countries = ["CH", "Atlantis"]',
        'domains = ["example.org", "ann@example.test", ""]',
        "visitors = [17]",
        "[excludes]",
    )

    ended = program("run")

    assert (ended.exit_code, ended.stdout) == (2, "")
    for said in (
        "7 settings are wrong",
        "exclude.domain is no key of it; the nearest one is domains",
        "exclude.addresses must be a list of texts",
        "exclude.countries: entry 2 is not a country",
        "exclude.domains: entry 2 is not the domain of an address",
        "exclude.domains: entry 3",
        "excludes is no key of this file; the nearest one is exclude",
    ):
        assert said in ended.stderr
    assert "ann@" not in ended.stderr


def test_exclude_must_be_a_table(program: Program) -> None:
    (program.folder / "visitor-sync.toml").write_text("exclude = 1\nfields = 2\n")

    ended = program("run")

    assert ended.exit_code == 2
    assert "exclude must be a table, as [exclude]" in ended.stderr
    assert "fields must be a table for each field" in ended.stderr
