"""The state is one portal's: a token of another one is noticed before anything is sent."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, row

from etl.sandbox.hubspot import PORTAL

if TYPE_CHECKING:
    from pathlib import Path

    from program import Program

OTHER_PORTAL = 4711
OTHER_TOKEN = "pat-of-another-portal"


def another_portal(program: Program, *, token: str = OTHER_TOKEN) -> None:
    """The portal behind the base URL is replaced by an empty one, with a token of its own."""
    hubspot = program.sandbox.hubspot
    for contact_id in list(hubspot.contacts):
        hubspot.delete(contact_id)
    hubspot.portal_id, hubspot.access_token = OTHER_PORTAL, token


def account_requests(program: Program) -> int:
    return sum("/account-info/" in each.path for each in program.sandbox.hubspot.requests)


def test_the_portal_is_asked_for_once_and_shown(program: Program) -> None:
    program.visitors(row(1), row(2))

    first, second = program.run(), program.run()

    assert (first.summary["portal"], second.summary["portal"]) == (PORTAL, PORTAL)
    assert account_requests(program) == 1
    assert second.summary["requests"]["hubspot"] == 0
    assert first.summary["requests"]["hubspot"] == len(program.sandbox.hubspot.requests)
    assert program("status", "--json").value["portal"] == PORTAL
    assert f"portal: {PORTAL}" in program("status").stdout
    assert f"portal: {PORTAL} (DEVELOPER_TEST, app.hubspot.com)" in program("setup").stdout
    (portal,) = [each for each in program("check", "--json").value if each["check"] == "hubspot portal"]
    assert portal["ok"]
    assert portal["saw"].startswith(f"{PORTAL} (")
    assert program("run", "--json").summary["portal"] == PORTAL  # skipped: from the state


def test_the_token_of_another_portal_is_refused_and_nothing_is_sent(program: Program) -> None:
    program.visitors(row(1), row(2))
    program.run()
    another_portal(program)
    program.visitors(row(3, minutes_ago=0))

    for arguments in (("run", "--now"), ("run", "--dry-run"), ("backfill", "--from", "2026-11-01")):
        ended = program(*arguments, "--json", HUBSPOT_ACCESS_TOKEN=OTHER_TOKEN)
        assert ended.exit_code == 2
        assert ended.summary["status"] == "failed"
        for said in (str(PORTAL), str(OTHER_PORTAL), "SYNC_STATE_URL", "visitor-sync resync"):
            assert said in ended.stderr
    assert program.sandbox.hubspot.contacts == {}

    checked = program("check", "--json", HUBSPOT_ACCESS_TOKEN=OTHER_TOKEN)
    assert checked.exit_code == 2
    (portal,) = [each for each in checked.value if each["check"] == "hubspot portal"]
    assert not portal["ok"]


def test_a_state_goes_to_another_portal_by_a_resync(program: Program) -> None:
    program.visitors(row(1, email="a@example.test"), row(2))
    program.sandbox.hubspot.refused_addresses["a@example.test"] = "not here"
    program.run()
    another_portal(program)
    program.sandbox.hubspot.refused_addresses.clear()

    assert program("resync", "--yes").exit_code == 0
    moved = program.run(HUBSPOT_ACCESS_TOKEN=OTHER_TOKEN)

    assert moved.exit_code == 0
    assert moved.summary["portal"] == OTHER_PORTAL
    assert moved.summary["contacts"]["created"] == 2
    held = program.sandbox.hubspot.snapshot()
    assert set(held) == {"a@example.test", "v000002"}
    assert held["v000002"]["firstname"] == "Visitor"
    assert program("rejections", "--json").value == []
    assert program.run(HUBSPOT_ACCESS_TOKEN=OTHER_TOKEN).summary["requests"]["hubspot"] == 0


def test_a_resync_fills_an_emptied_portal_once_and_keeps_names_that_people_gave(program: Program) -> None:
    program.visitors(row(1), row(2), row(3, email="c@example.test"))
    program.run()
    hubspot = program.sandbox.hubspot
    renamed, emptied = (
        next(
            number
            for number, contact in hubspot.contacts.items()
            if contact.get("zenovay_visitor_id") == visitor
        )
        for visitor in ("v000001", "v000002")
    )
    hubspot.store.by_id[renamed]["firstname"] = "Ann"
    hubspot.delete(emptied)

    dry = program("resync", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (0, "3 contacts would become due; nothing was written\n")
    assert program.run().summary["contacts"]["unchanged"] == 3
    assert program("resync", "--yes").stdout == "3 contacts are due at the next run\n"
    filled = program.run(SYNC_RECREATE="always")

    assert (filled.exit_code, filled.summary["contacts"]["created"]) == (0, 1)
    assert filled.summary["contacts"]["updated"] == 2
    assert hubspot.contact(visitor_id="v000001")["firstname"] == "Ann"  # type: ignore[index]
    assert hubspot.contact(visitor_id="v000002")["firstname"] == "Visitor"  # type: ignore[index]
    assert program.run().summary["requests"]["hubspot"] == 0


def test_a_resync_of_one_website_leaves_the_others_and_the_portal(program: Program) -> None:
    program.sandbox.zenovay.websites["other"] = [row(7)]
    program.visitors(row(1), row(2))
    both = f"{program.website},other"
    assert program.run(ZENOVAY_WEBSITE_ID=both).exit_code == 0

    assert program("resync", "--website", "other", "--yes").stdout.startswith("1 contacts are due")
    assert program("status", "--json").value["contacts"]["due"] == 1
    another_portal(program)
    assert program.run(ZENOVAY_WEBSITE_ID=both, HUBSPOT_ACCESS_TOKEN=OTHER_TOKEN).exit_code == 2

    unknown = program("resync", "--website", "elsewhere", "--yes")
    assert unknown.exit_code == 2
    assert "other" in unknown.stderr


def test_a_resync_asks_where_somebody_is_there_and_wants_a_word_elsewhere(program: Program) -> None:
    program.visitors(row(1))
    assert program("resync", "--yes").exit_code == 0
    assert not program.state_file.exists()
    program.run()

    refused = program("resync")

    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert program("status", "--json").value["contacts"]["due"] == 0


@pytest.mark.parametrize("read_before", [True, False], ids=["known before", "never known"])
def test_a_portal_that_cannot_be_read_is_told_at_a_change_of_the_token_only(
    program: Program, *, read_before: bool
) -> None:
    hubspot = program.sandbox.hubspot
    if not read_before:
        hubspot.scopes.discard("oauth")
    program.visitors(row(1))
    first = program.run()
    assert first.summary["portal"] == (PORTAL if read_before else None)
    assert len(first.summary["warnings"]) == 1  # that the state is new

    hubspot.scopes.discard("oauth")
    hubspot.access_token = OTHER_TOKEN
    changed = program.run(HUBSPOT_ACCESS_TOKEN=OTHER_TOKEN)
    again = program.run(HUBSPOT_ACCESS_TOKEN=OTHER_TOKEN)

    assert changed.exit_code == again.exit_code == 0
    (warning,) = changed.summary["warnings"]
    assert "HUBSPOT_ACCESS_TOKEN has changed" in warning
    assert again.summary["warnings"] == []


def test_a_state_from_before_takes_the_first_portal_it_meets(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.hubspot.scopes.discard("oauth")
    program.run()
    program.sandbox.hubspot.scopes.add("oauth")
    program.sandbox.hubspot.access_token = OTHER_TOKEN

    renewed = program.run(HUBSPOT_ACCESS_TOKEN=OTHER_TOKEN)

    assert (renewed.exit_code, renewed.summary["portal"], renewed.summary["warnings"]) == (0, PORTAL, [])
    assert renewed.summary["contacts"]["unchanged"] == 1


def test_a_new_state_is_told_once_and_prints_nothing(program: Program) -> None:
    program.visitors(row(1))
    (state,) = [each for each in program("check", "--json").value if each["check"] == "state"]
    assert "new" in state["saw"]
    assert "30 days" in state["saw"]

    silent = program("run")
    first = program("status", "--json").value["websites"][0]["runs"][0]

    assert (silent.exit_code, silent.stdout) == (0, "")
    (warning,) = first["warnings"]
    assert str(program.state_file) in warning
    assert "reads the last 30 days" in warning
    assert first["reason"] is None
    assert program.run().summary["warnings"] == []


def test_nothing_is_sent_to_a_portal_that_could_not_be_asked(program: Program) -> None:
    program.visitors(row(1))

    ended = program.run(HUBSPOT_ACCESS_TOKEN="wrong")

    assert ended.exit_code == 5
    assert ended.summary["rows"]["accepted"] == ended.summary["contacts"]["deferred"] == 1
    assert program.sandbox.hubspot.upserts == []


def test_the_sandbox_exports_every_setting_and_a_state_of_its_own(tmp_path: Path) -> None:
    with subprocess.Popen([COMMAND, "sandbox"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout
        printed = []
        while not (line := sandbox.stdout.readline()).startswith("# In another terminal"):
            printed.append(line)
        exports = [line for line in printed if line.startswith("export ")]
        dotenv = "SYNC_PAGEVIEWS_PROPERTY=another\nSYNC_ANONYMOUS=skip\nHUBSPOT_ACCESS_TOKEN=real\n"
        (tmp_path / ".env").write_text(dotenv)
        script = "".join(exports) + f"'{COMMAND}' setup && '{COMMAND}' run --json; echo $SYNC_STATE_URL"
        ran = subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HTTP_PROXY": "http://127.0.0.1:1"},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        sandbox.terminate()

    assert "zenovay_pageviews: created" in ran.stdout
    assert '"created":1643,' in ran.stdout
    assert "visitor-sync-sandbox-" in ran.stdout.splitlines()[-1]
    assert any("state is one of the sandbox's own" in line for line in printed)


def test_what_a_dry_run_counts_is_what_the_run_does(program: Program) -> None:
    program.sandbox.populate(2500)

    dry = program("run", "--dry-run", "--json").summary
    done = program.run().summary

    assert dry["contacts"] == done["contacts"]
    assert (done["contacts"]["created"], done["contacts"]["updated"]) == (1643, 0)
