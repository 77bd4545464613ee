"""``visitor-sync run``, from outside: what the CRM holds, what it cost, what the exit code says."""

from __future__ import annotations

import random
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from program import row
from storm import FOREVER, Fault

if TYPE_CHECKING:
    from program import Program


def many(count: int) -> list[dict[str, Any]]:
    """Visitors of the last days, every third with an address."""
    return [
        row(number, email=f"p{number}@example.test" if number % 3 == 0 else None) for number in range(count)
    ]


def test_a_first_run_brings_every_visitor_and_a_second_one_sends_nothing(program: Program) -> None:
    program.visitors(*many(2500))

    first = program.run()
    assert first.exit_code == 0
    assert first.summary["rows"] | {"read": 2500, "accepted": 2500} == first.summary["rows"]
    assert first.summary["contacts"]["created"] == 2500
    assert program.sandbox.zenovay.visitor_requests == 3
    assert len(program.sandbox.hubspot.upserts) == 25
    assert first.summary["requests"]["zenovay"] == 3
    looks = -(-834 // 100) - (-1666 // 100)  # by address, and by visitor id
    assert len(program.sandbox.hubspot.reads) == looks
    assert 25 + looks <= first.summary["requests"]["hubspot"] <= 30 + looks
    assert len(program.sandbox.hubspot.contacts) == 2500

    second = program.run()
    assert second.exit_code == 0
    assert second.summary["contacts"]["created"] == second.summary["contacts"]["updated"] == 0
    assert second.summary["requests"]["hubspot"] == 0
    assert len(program.sandbox.hubspot.upserts) == 25


def test_one_changed_visitor_costs_one_update_of_one_input(program: Program) -> None:
    rows = many(250)
    program.visitors(*rows)
    program.run()
    hubspot = program.sandbox.hubspot
    (record,) = (each for each, known in hubspot.contacts.items() if known.get("email") == "p0@example.test")

    program.replace_visitors({**rows[0], "pageviews": 99}, *rows[1:])
    ended = program.run()

    (update,) = hubspot.updates
    assert [each["id"] for each in update["inputs"]] == [record]
    assert ended.summary["contacts"]["updated"] == 1
    assert ended.summary["requests"]["hubspot"] == 1
    assert program.sandbox.hubspot.snapshot()["p0@example.test"]["zenovay_pageviews"] == "99"


def test_order_repetition_and_offsets_of_rows_do_not_matter(program: Program, another: Program) -> None:
    rows = many(300)
    program.visitors(*rows)
    program.run()

    shuffled = [in_another_offset(each, hours) for hours, each in enumerate(rows * 2)]
    random.Random(5).shuffle(shuffled)
    another.sandbox.zenovay.order = "as_given"
    another.visitors(*shuffled)
    ended = another.run()

    assert ended.summary["rows"]["read"] == 600
    assert another.sandbox.hubspot.snapshot() == program.sandbox.hubspot.snapshot()


def in_another_offset(original: dict[str, Any], hours: int) -> dict[str, Any]:
    seen = datetime.fromisoformat(original["last_seen"])
    return {**original, "last_seen": seen.astimezone(timezone(timedelta(hours=hours % 24 - 12))).isoformat()}


def test_a_refused_address_waits_until_it_changes_or_is_retried(program: Program) -> None:
    rows = [row(number, email=f"p{number}@example.test") for number in range(300)]
    program.visitors(*rows)
    program.sandbox.hubspot.refused_addresses["p7@example.test"] = "Email address is not welcome here"

    first = program.run()
    assert first.exit_code == 3
    assert first.summary["status"] == "partial"
    assert first.summary["contacts"]["created"] == 299
    assert first.summary["contacts"]["rejected"] == 1
    assert len(program.sandbox.hubspot.contacts) == 299
    (refused,) = program("rejections", "list", "--json").value
    assert refused["key"] == "p7@example.test"
    assert refused["kind"] == "contact"
    assert "not welcome here" in refused["reason"]
    assert refused["attempts"] == 1

    second = program.run()
    assert second.exit_code == 0
    assert second.summary["requests"]["hubspot"] == 0
    assert second.summary["contacts"]["unchanged"] == second.summary["contacts"]["touched"]

    program("rejections", "retry")
    third = program.run()
    assert third.exit_code == 3
    assert program("rejections", "list", "--json").value[0]["attempts"] == 2

    program.sandbox.hubspot.refused_addresses.clear()
    program.replace_visitors({**rows[7], "pageviews": 50}, *rows[:7], *rows[8:])
    fourth = program.run()
    assert fourth.exit_code == 0
    assert program.sandbox.hubspot.snapshot()["p7@example.test"]["zenovay_pageviews"] == "50"
    assert program("rejections", "list", "--json").value == []


def test_an_address_is_retried_however_it_is_written_and_a_visitor_id_as_it_is(program: Program) -> None:
    hubspot = program.sandbox.hubspot
    hubspot.refused_addresses["ann@example.test"] = "Email address is not welcome here"
    program.visitors(row(1, email="ann@example.test"), row(2) | {"last_seen": "nonsense", "id": "vAbc"})
    assert program.run().exit_code == 3

    assert program("rejections", "retry", "vabc").exit_code == 2
    lifted = program("rejections", "retry", " Ann@Example.TEST ", "vAbc", "--json").value

    assert (lifted["retried"], lifted["contacts_due"], lifted["rows"]) == (2, 1, 1)
    assert program("rejections", "retry", "bea@example.test").exit_code == 2


def test_two_visitors_with_one_address_are_one_contact(program: Program) -> None:
    program.visitors(
        row(1, minutes_ago=30, email="Ann@Example.test", country_code="FR", pageviews=5),
        row(2, minutes_ago=10, email=" ann@example.TEST ", country_code="KR", pageviews=7),
    )

    program.run()

    (contact,) = program.sandbox.hubspot.contacts.values()
    assert contact["country"] == "South Korea"
    assert contact["zenovay_pageviews"] == "12"
    assert contact["email"] == "ann@example.test"


def test_a_dry_run_writes_nothing_anywhere(program: Program) -> None:
    program.visitors(*many(120))
    fresh = program("run", "--dry-run", "--json")
    assert fresh.summary["contacts"]["created"] == 120
    assert list(program.folder.iterdir()) == []

    program.run()
    program.replace_visitors(*many(110), *(row(200 + number, minutes_ago=5) for number in range(5)))
    before = program.state_file.read_bytes()
    upserts = len(program.sandbox.hubspot.upserts)

    ended = program("run", "--dry-run", "--json")

    assert ended.exit_code == 0
    assert ended.summary["dry_run"] is True
    assert ended.summary["contacts"]["created"] == 5
    assert program.state_file.read_bytes() == before
    assert len(program.sandbox.hubspot.upserts) == upserts


def test_a_run_within_the_minimum_interval_does_nothing(program: Program) -> None:
    program.visitors(row(1))
    assert program("run", "--json").summary["status"] == "done"
    requests = len(program.sandbox.zenovay.requests)

    again = program("run", "--json")
    silent = program("run")

    assert again.exit_code == 0
    assert again.summary["status"] == "skipped"
    assert (silent.exit_code, silent.stdout) == (0, "")
    assert len(program.sandbox.zenovay.requests) == requests
    assert program("run", "--json", SYNC_MIN_INTERVAL="0s").summary["status"] == "done"


def test_cron_hears_nothing_of_a_good_run_and_a_line_of_one_that_needs_a_person(program: Program) -> None:
    program.visitors(row(1), {**row(2), "pageviews": -1})

    partial = program("run", "--now")
    assert partial.exit_code == 3
    assert "1 newly rejected" in partial.stdout

    good = program("run", "--now")
    assert (good.exit_code, good.stdout) == (0, "")


def test_bad_rows_are_listed_once_and_the_run_goes_on(program: Program) -> None:
    program.visitors(row(1), {**row(2), "id": None}, {**row(3), "last_seen": "soon"}, row(4))

    first = program.run()
    assert first.exit_code == 3
    assert first.summary["rows"]["rejected"] == 2
    assert len(program.sandbox.hubspot.contacts) == 2

    second = program.run()
    assert second.exit_code == 0
    assert second.summary["rows"]["rejected"] == 2
    listed = program("rejections", "--json").value
    assert sorted(each["kind"] for each in listed) == ["row", "row"]
    assert all(each["reason"] for each in listed)


def test_anonymous_visitors_can_be_left_out_until_they_are_known(program: Program) -> None:
    program.settings["SYNC_ANONYMOUS"] = "skip"
    program.visitors(row(1, minutes_ago=20), row(2, email="b@example.test"))

    first = program.run().summary
    assert (first["rows"]["anonymous"], first["rows"]["accepted"]) == (1, 1)
    assert list(program.sandbox.hubspot.snapshot()) == ["b@example.test"]

    program.replace_visitors(row(1, minutes_ago=10, email="a@example.test"))
    program.run()
    assert sorted(program.sandbox.hubspot.snapshot()) == ["a@example.test", "b@example.test"]


def test_a_visitor_who_opted_out_is_not_sent(program: Program) -> None:
    program.visitors(row(1, gpc_opted_out=True, email="a@example.test"), row(2))

    summary = program.run().summary

    assert summary["rows"]["opted_out"] == 1
    assert len(program.sandbox.hubspot.contacts) == 1


def test_a_visitor_who_becomes_known_moves_and_the_old_contact_is_left_alone(program: Program) -> None:
    program.visitors(row(1, minutes_ago=30))
    program.run()
    program.visitors(row(1, minutes_ago=20, email="ann@example.test", pageviews=4))
    program.run()
    program.visitors(row(1, minutes_ago=10, pageviews=6))
    program.run()

    held = program.sandbox.hubspot.snapshot()
    assert held["ann@example.test"]["zenovay_pageviews"] == "6"
    assert held["v000001"]["zenovay_pageviews"] == "3"


def test_an_anonymous_contact_is_named_once_and_never_again(program: Program) -> None:
    program.visitors(row(1, minutes_ago=30))
    program.run()
    (hubspot_id, contact) = next(iter(program.sandbox.hubspot.contacts.items()))
    assert (contact["firstname"], contact["lastname"]) == ("Visitor", "v000001")
    program.sandbox.hubspot.store.by_id[hubspot_id]["firstname"] = "Ann"

    program.visitors(row(1, minutes_ago=10))
    program.run()
    assert program.sandbox.hubspot.contacts[hubspot_id]["firstname"] == "Ann"

    program.sandbox.hubspot.delete(hubspot_id)
    program.visitors(row(1, minutes_ago=5))
    ended = program.run(SYNC_RECREATE="always")
    assert ended.exit_code == 0
    (made_again,) = program.sandbox.hubspot.contacts.values()
    assert made_again["firstname"] == "Visitor"


def test_where_hubspot_insists_on_a_name_a_contact_with_an_address_gets_one(program: Program) -> None:
    hubspot = program.sandbox.hubspot
    hubspot.seed({"email": "known@example.test", "firstname": "Kim"})
    hubspot.required_properties = {"firstname", "lastname"}
    program.visitors(row(1, email="ann.meierhans@example.test"), row(2, email="known@example.test"), row(3))

    ended = program.run(HUBSPOT_API_VERSION="2026-09")

    assert (ended.exit_code, ended.summary["contacts"]["created"]) == (0, 2)
    held = hubspot.snapshot()
    named = {key: (each.get("firstname"), each.get("lastname")) for key, each in held.items()}
    assert named == {
        "ann.meierhans@example.test": ("Visitor", "ann.meie"),
        "known@example.test": ("Kim", None),
        "v000003": ("Visitor", "v000003"),
    }


@pytest.mark.parametrize("dialect", ["newest", "guide", "visitors"])
@pytest.mark.parametrize("paging", ["offset", "page"])
def test_every_documented_dialect_is_read(program: Program, dialect: str, paging: str) -> None:
    program.sandbox.zenovay.dialect = dialect
    program.visitors(*many(250))

    ended = program.run(ZENOVAY_PAGING=paging, ZENOVAY_PAGE_SIZE="100")

    assert ended.exit_code == 0
    assert len(program.sandbox.hubspot.contacts) == 250


@pytest.mark.parametrize("paging", ["offset", "page"])
@pytest.mark.parametrize("size", ["100", "1000"])
@pytest.mark.parametrize("block", [True, False])
def test_pages_that_follow_one_another_whatever_is_asked_for_are_read_to_the_end(
    program: Program, paging: str, size: str, *, block: bool
) -> None:
    faults, visitors = program.sandbox.zenovay.faults, many(250)
    for at in (0, 100, 200):
        data = {"visitors": visitors[at : at + 100]}
        pagination = {"pagination": {"limit": 100, "offset": at, "has_more": at < 200}} if block else {}
        faults.add(Fault.answer(200, {"data": {**data, **pagination}}), times=1, path="/visitors")
    faults.add(Fault.answer(200, {"data": []}), times=FOREVER, path="/visitors")

    ended = program.run(ZENOVAY_PAGING=paging, ZENOVAY_PAGE_SIZE=size)

    assert (ended.exit_code, ended.summary["status"]) == (0, "done")
    assert (ended.summary["rows"]["read"], ended.summary["rows"]["accepted"]) == (250, 250)
    assert ended.summary["watermark"]["after"]
    assert len(program.sandbox.hubspot.contacts) == 250


def test_a_future_row_is_delivered_when_its_time_has_come(program: Program) -> None:
    program.visitors(row(1, minutes_ago=-60), row(2))
    first = program.run().summary
    assert (first["rows"]["out_of_window"], first["rows"]["accepted"]) == (1, 1)

    program.sandbox.zenovay.skew = timedelta(hours=2)
    program.run()
    assert len(program.sandbox.hubspot.contacts) == 2


def test_several_websites_share_one_state(program: Program) -> None:
    program.sandbox.zenovay.websites["site-b"] = [row(1, email="ann@example.test", pageviews=1)]
    program.visitors(row(9, email="ann@example.test", pageviews=2))

    ended = program.run(ZENOVAY_WEBSITE_ID=f"{program.website},site-b")

    assert [each["website"] for each in ended.summaries] == [program.website, "site-b"]
    assert program.sandbox.hubspot.snapshot()["ann@example.test"]["zenovay_pageviews"] == "3"


def test_a_website_that_fails_does_not_keep_the_others(program: Program) -> None:
    program.visitors(row(1))

    ended = program.run(ZENOVAY_WEBSITE_ID=f"nobodys-site,{program.website}")

    assert ended.exit_code == 2
    assert [each["status"] for each in ended.summaries] == ["failed", "done"]
    assert len(program.sandbox.hubspot.contacts) == 1


def test_the_state_file_is_readable_by_its_owner_only(program: Program) -> None:
    program.visitors(row(1))
    program.run()

    assert program.state_file.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(program.state_file) as state:
        assert state.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    state.close()


def test_the_watermark_is_the_sources_own_clock(program: Program) -> None:
    program.sandbox.zenovay.skew = timedelta(hours=-3)
    program.visitors(row(1, minutes_ago=200))

    after = datetime.fromisoformat(program.run().summary["watermark"]["after"])

    assert abs(after - (datetime.now(UTC) - timedelta(hours=3))) < timedelta(minutes=1)


def test_every_contact_is_sent_again_under_new_property_names(program: Program) -> None:
    program.visitors(row(1), row(2))
    program.run()
    program("setup", SYNC_PAGEVIEWS_PROPERTY="page_views_of_visitor")

    program.run(SYNC_PAGEVIEWS_PROPERTY="page_views_of_visitor")

    assert {each["page_views_of_visitor"] for each in program.sandbox.hubspot.contacts.values()} == {"3"}
