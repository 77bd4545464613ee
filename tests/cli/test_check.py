"""``visitor-sync check``: each side for itself, no request for nothing, and what a month is going to cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from program import row
from situations import synced
from storm import FOREVER, Fault
from terminal import on_a_terminal, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from program import Ended, Program

ZENOVAY = ("zenovay route", "zenovay key", "zenovay rows", "zenovay limits")
HUBSPOT = ("hubspot route", "hubspot portal", "hubspot read", "hubspot write", "hubspot properties")
MISSED = "not checked, as the check of {} failed"


def by_name(ended: Ended) -> dict[str, dict[str, Any]]:
    return {each["check"]: each for each in ended.value}


def side(ended: Ended, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [each for each in ended.value if each["check"].startswith(names)]


def websites(program: Program, count: int) -> dict[str, Any]:
    """So many websites, each with a row."""
    names = [program.website, *(f"site_{number}" for number in range(2, count + 1))]
    for name in names:
        program.sandbox.zenovay.add_rows(name, [row(1)])
    return {"ZENOVAY_WEBSITE_ID": ",".join(names)}


def wrong_key(program: Program) -> None:
    program.settings["ZENOVAY_API_KEY"] = "zv_another_key"


def free_plan(program: Program) -> None:
    program.sandbox.zenovay.paid_plan = False


def zenovay_is_out(program: Program) -> None:
    program.sandbox.zenovay.faults.add(Fault.empty(503), times=FOREVER)


def wrong_token(program: Program) -> None:
    program.settings["HUBSPOT_ACCESS_TOKEN"] = "another-token"


def hubspot_is_out(program: Program) -> None:
    program.sandbox.hubspot.faults.add(Fault.empty(503), times=FOREVER)


@pytest.mark.parametrize(
    ("spoil", "code", "requests"), [(wrong_key, 5, 1), (free_plan, 5, 1), (zenovay_is_out, 4, 2)]
)
def test_what_zenovay_refuses_is_asked_once_and_hubspot_is_checked_all_the_same(
    program: Program, spoil: Callable[[Program], None], code: int, requests: int
) -> None:
    settings = websites(program, 3)
    spoil(program)

    ended = program("check", "--json", **settings)

    assert ended.exit_code == code
    assert len(program.sandbox.zenovay.requests) == requests
    assert all(each["ok"] for each in side(ended, HUBSPOT))
    first, key, *others = side(ended, ZENOVAY)
    assert (first["ok"], key["ok"], key["check"]) == (True, False, "zenovay key")
    assert len(others) == 4
    assert {each["saw"] for each in others} == {MISSED.format("zenovay key")}
    assert {each["fix"] for each in others} == {"Mend zenovay key first."}
    assert by_name(ended)["strangers"]["saw"] == MISSED.format("zenovay key")

    lines = program("check", **settings).stdout.splitlines()
    told = "not checked\tzenovay rows (3), zenovay limits\tas the check of zenovay key failed"
    assert [line for line in lines if "zenovay rows" in line] == [told]


@pytest.mark.parametrize(("spoil", "code", "requests"), [(wrong_token, 5, 1), (hubspot_is_out, 4, 2)])
def test_what_hubspot_refuses_is_asked_once_and_zenovay_is_checked_all_the_same(
    program: Program, spoil: Callable[[Program], None], code: int, requests: int
) -> None:
    program.visitors(row(1))
    program.run()
    asked = len(program.sandbox.hubspot.requests)
    spoil(program)

    ended = program("check", "--json")

    assert ended.exit_code == code
    assert len(program.sandbox.hubspot.requests) - asked == requests
    assert all(each["ok"] for each in side(ended, ZENOVAY))
    first, portal, *others = side(ended, HUBSPOT)
    assert (first["ok"], portal["ok"], portal["check"]) == (True, False, "hubspot portal")
    assert {each["saw"] for each in others} == {MISSED.format("hubspot portal")}
    assert by_name(ended)["strangers"]["ok"]


def test_a_way_that_there_is_not_keeps_only_its_own_side_from_being_checked(program: Program) -> None:
    program.visitors(row(1))
    ended = program("check", "--json", HUBSPOT_BASE_URL="https://me:s3cret@api.test", HTTPS_PROXY="ftp://x")

    assert ended.exit_code == 2
    assert len(ended.value) == 1  # the settings themselves say so

    ended = program("check", "--json", HUBSPOT_BASE_URL="https://api.test", HTTPS_PROXY="ftp://x")

    assert ended.exit_code == 2
    assert all(each["ok"] for each in side(ended, ZENOVAY))
    route, *others = side(ended, HUBSPOT)
    assert "HTTPS_PROXY" in route["saw"]
    assert {each["saw"] for each in others} == {MISSED.format("hubspot route")}


def test_all_scopes_that_are_missing_are_named_beside_whose_portal_it_is(program: Program) -> None:
    program.visitors(row(1))
    scopes = {"crm.objects.contacts.read", "crm.objects.contacts.write"}
    program.sandbox.hubspot.scopes -= scopes

    ended = program("check", "--json")

    found = by_name(ended)
    assert ended.exit_code == 5
    assert found["hubspot portal"]["ok"]
    assert "app.hubspot.com" in found["hubspot portal"]["saw"]
    assert "crm.objects.contacts.read" in found["hubspot read scope"]["fix"]
    assert "crm.objects.contacts.write" in found["hubspot write scope"]["fix"]


def test_a_website_of_another_team_says_nothing_of_the_others(program: Program) -> None:
    settings = websites(program, 3)
    program.sandbox.zenovay.foreign_websites.add("site_2")

    ended = program("check", "--json", **settings)

    found = by_name(ended)
    assert ended.exit_code in {2, 5}
    assert not found["zenovay rows of site_2"]["ok"]
    assert found[f"zenovay rows of {program.website}"]["ok"]
    assert found["zenovay rows of site_3"]["ok"]
    assert found["zenovay limits"]["ok"]


def test_a_website_that_the_key_cannot_see_is_not_asked_for(program: Program) -> None:
    program.visitors(row(1))
    ended = program("check", "--json", ZENOVAY_WEBSITE_ID=f"{program.website},nowhere")

    found = by_name(ended)
    assert ended.exit_code == 2
    assert "nowhere" in found["zenovay key"]["saw"]
    assert found["zenovay rows of nowhere"]["saw"] == MISSED.format("zenovay key")
    assert found[f"zenovay rows of {program.website}"]["ok"]
    assert program.sandbox.zenovay.visitor_requests == 1


def test_settings_that_are_wrong_are_shown_and_nothing_is_sent(program: Program) -> None:
    ended = program("check", "--json", ZENOVAY_API_KEY="ZV_public_tracking_code")

    assert ended.exit_code == 2
    (finding,) = ended.value
    assert (finding["check"], finding["ok"]) == ("settings", False)
    assert "ZENOVAY_API_KEY" in finding["saw"]
    assert program.sandbox.zenovay.requests == []
    assert program.sandbox.hubspot.requests == []


def damaged(program: Program) -> None:
    synced(program)
    program.state_file.write_bytes(b"Dear diary, this is no database.\n" * 100)


def out_of_reach(program: Program) -> None:
    program.settings["SYNC_STATE_URL"] = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    program.visitors(row(1))


@pytest.mark.parametrize(("spoil", "code"), [(damaged, 7), (out_of_reach, 4)])
def test_both_sides_are_checked_also_where_the_state_cannot_be_read(
    program: Program, spoil: Callable[[Program], None], code: int
) -> None:
    spoil(program)

    ended = program("check", "--json")

    found = by_name(ended)
    assert ended.exit_code == code
    assert [name for name, each in found.items() if not each["ok"]] == ["state", "schedule", "strangers"]
    assert found["schedule"]["saw"] == MISSED.format("state")
    assert "app.hubspot.com" in found["hubspot portal"]["saw"]
    assert "the state cannot be read" in found["hubspot portal"]["saw"]


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, True), (0o600, False)])
def test_settings_that_others_can_read_are_warned_of(program: Program, mode: int, *, warned: bool) -> None:
    file = program.folder / ".env"
    file.write_text(f"ZENOVAY_API_KEY={program.sandbox.zenovay.api_key}\n")
    file.chmod(mode)
    program.visitors(row(1))

    ended = program("check")

    assert ended.exit_code == 0
    line = next(line for line in ended.stdout.splitlines() if "\tsettings\t" in line)
    assert line.startswith("warning\t" if warned else "ok\t")
    assert (str(file) in line) is warned


def test_fifty_websites_are_counted_fifty_times_and_the_reserve_is_left_out(program: Program) -> None:
    ended = program("check", "--json", **websites(program, 50))

    schedule = by_name(ended)["schedule"]
    assert (ended.exit_code, schedule["ok"]) == (0, True)
    for said in (
        "each of 50 websites",
        "432000 a month",
        "more than the 9500 of 10000",
        "500 are kept for people (ZENOVAY_RESERVE)",
        "shortest interval that fits: every 3 h 55 min",
        "warning: 50 websites every 5 min would spend",
    ):
        assert said in schedule["saw"]
    assert "the last 500 of them kept for people" in by_name(ended)["zenovay limits"]["saw"]
    spent = program("schedule", **websites(program, 50)).stdout
    assert "every 4 hours: 50 websites" in spent


def test_one_website_of_the_default_plan_is_no_warning(program: Program) -> None:
    program.visitors(row(1))
    schedule = by_name(program("check", "--json"))["schedule"]

    assert "That fits the 9500 of 10000" in schedule["saw"]
    assert "warning" not in schedule["saw"]


def test_a_website_of_which_no_run_was_seen_costs_a_request_as_well(program: Program) -> None:
    settings = websites(program, 2)
    for _ in range(3):
        program.run()

    ended = program("check", "--json", **settings)

    assert "Runs of 2 websites every 5 min cost about 17280 requests" in by_name(ended)["schedule"]["saw"]


@pytest.mark.parametrize("known", [True, False], ids=["after a run", "before any"])
def test_a_month_of_which_only_the_reserve_is_left_stops_scheduled_runs(
    program: Program, *, known: bool
) -> None:
    zenovay = program.sandbox.zenovay
    zenovay.requests_per_month, zenovay.month_used = 10_000, 9600
    program.settings["SYNC_MIN_INTERVAL"] = "0s"
    program.visitors(row(1))
    if known:
        assert program.run().exit_code == 0

    ended = program("check", "--json")

    schedule = by_name(ended)["schedule"]
    assert (ended.exit_code, schedule["ok"]) == (4, False)
    assert "Scheduled runs are stopped until 20" in schedule["saw"]
    assert "of the month's 10000 requests are used" in schedule["saw"]
    assert "`visitor-sync run --now` works" in schedule["saw"]
    assert all(each["ok"] for each in ended.value if each["check"] != "schedule")
    if known:
        assert program("run").exit_code == 4
        told = program("status", "--json").value
        assert told["month"]["left"] == 0
        assert told["month"]["lasts_until"] is not None
        assert "Scheduled runs are stopped" in told["schedule"]["says"]
    assert program.run().exit_code == 0


def test_a_month_that_is_spent_is_asked_once(program: Program) -> None:
    zenovay = program.sandbox.zenovay
    zenovay.requests_per_month, zenovay.month_used = 10_000, 10_000
    program.visitors(row(1))

    ended = program("check", "--json")

    assert ended.exit_code == 4
    assert len(zenovay.requests) == 1
    assert "all 10000 requests of the month are used" in by_name(ended)["schedule"]["saw"]


def test_a_terminal_shows_what_failed_first_and_within_its_width(program: Program) -> None:
    settings = websites(program, 3)
    wrong_key(program)

    code, shown = on_a_terminal(program, "check", **settings)

    assert code == 5
    lines = plain(shown).splitlines()
    assert lines[0] == "15 checks, 1 failed, 5 not checked, 1 warning"
    assert lines[1].startswith("FAILED")
    assert "zenovay key: " in lines[1]
    assert max(map(len, lines)) <= 80
    together = " ".join(" ".join(lines).split())
    assert "to mend it: Put a valid secret key of the Zenovay account into ZENOVAY_API_KEY" in together
    assert together.count("Put a valid secret key") == 1
    assert sum(line.startswith("not checked") for line in lines) == 1
    assert sum(line.startswith("ok ") for line in lines) == 8

    failed, ok = (
        next(line for line in shown.splitlines() if word in line) for word in ("FAILED", "settings")
    )
    assert failed.partition("FAILED")[0] != ok.partition("ok")[0]
    assert "\x1b[3" not in on_a_terminal(program, "check", NO_COLOR="1", **settings)[1]


def test_a_terminal_shows_how_many_checks_warn(program: Program) -> None:
    code, shown = on_a_terminal(program, "check", **websites(program, 3))

    lines = plain(shown).splitlines()
    assert code == 0
    assert lines[0] == "15 checks, 0 failed, 1 warning"
    assert lines[1].startswith("warning")


def test_a_key_and_a_token_that_are_swapped_are_seen_without_a_request(program: Program) -> None:
    swapped = {"ZENOVAY_API_KEY": "pat-eu1-0123456789", "HUBSPOT_ACCESS_TOKEN": "zv_0123456789abcdef"}

    ended = program("check", "--json", **swapped)

    assert ended.exit_code == 2
    (finding,) = ended.value
    assert (finding["check"], finding["ok"]) == ("settings", False)
    assert all(name in finding["saw"] for name in swapped)
    assert not any(secret in ended.stdout + ended.stderr for secret in swapped.values())
    assert program.sandbox.zenovay.requests == []
    assert program.sandbox.hubspot.requests == []
