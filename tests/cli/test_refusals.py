"""Runs that cannot succeed: the sentence that tells what to do, the exit code, and no secret anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from program import row

if TYPE_CHECKING:
    from collections.abc import Callable

    from program import Ended, Program

ADDRESS = "ann.secret@example.test"
KEY = "zv_Sup3rSecretKey0123456789"
TOKEN = "pat-eu1-Sup3rSecret-Token"


def no_secret_in(program: Program, ended: Ended) -> None:
    said = ended.stdout + ended.stderr
    state = b"".join(path.read_bytes() for path in program.folder.iterdir() if path.is_file())
    for secret in (KEY, TOKEN):
        assert secret not in said
        assert secret.encode() not in state
    assert ADDRESS not in said
    assert "@example.test" not in said


def wrong_key(program: Program) -> None:
    program.sandbox.zenovay.api_key = "zv_another_key"


def free_plan(program: Program) -> None:
    program.sandbox.zenovay.paid_plan = False


def foreign_website(program: Program) -> None:
    program.sandbox.zenovay.foreign_websites.add(program.website)


def wrong_website(program: Program) -> None:
    del program.sandbox.zenovay.websites[program.website]


def wrong_token(program: Program) -> None:
    program.sandbox.hubspot.access_token = "another-token"


def no_write_scope(program: Program) -> None:
    program.sandbox.hubspot.scopes.discard("crm.objects.contacts.write")


def no_properties(program: Program) -> None:
    for name in [name for name in program.sandbox.hubspot.schema.definitions if name.startswith("zenovay_")]:
        del program.sandbox.hubspot.schema.definitions[name]


CASES: list[tuple[Callable[[Program], None], int, str]] = [
    (wrong_key, 5, "ZENOVAY_API_KEY"),
    (free_plan, 5, "plan"),
    (foreign_website, 5, "team"),
    (wrong_website, 2, "ZENOVAY_WEBSITE_ID"),
    (wrong_token, 5, "HUBSPOT_ACCESS_TOKEN"),
    (no_write_scope, 5, "crm.objects.contacts.write"),
    (no_properties, 2, "visitor-sync setup"),
]


@pytest.mark.parametrize(("spoil", "exit_code", "sentence"), CASES, ids=[case[0].__name__ for case in CASES])
def test_each_refusal_says_what_to_do_and_loses_nothing(
    program: Program, spoil: Callable[[Program], None], exit_code: int, sentence: str
) -> None:
    program.sandbox.zenovay.api_key = KEY
    program.sandbox.hubspot.access_token = TOKEN
    settings = {"ZENOVAY_API_KEY": KEY, "HUBSPOT_ACCESS_TOKEN": TOKEN}
    program.settings |= settings
    rows = [row(1, email=ADDRESS), row(2)]
    program.visitors(*rows)
    properties = dict(program.sandbox.hubspot.schema.definitions)
    spoil(program)

    ended = program.run()

    assert ended.exit_code == exit_code, ended.stderr
    assert ended.summary["status"] == "failed"
    assert sentence in ended.stderr
    assert sentence in ended.summary["reason"]
    no_secret_in(program, ended)
    assert program.sandbox.hubspot.contacts == {}
    no_secret_in(program, program("rejections", "list", "--json"))
    assert program("rejections", "list", "--json").value == []

    world, crm = program.sandbox.zenovay, program.sandbox.hubspot
    world.api_key, world.paid_plan, crm.access_token = KEY, True, TOKEN
    world.foreign_websites.clear()
    world.websites[program.website] = rows
    crm.scopes.add("crm.objects.contacts.write")
    crm.schema.definitions.update(properties)
    assert program.run().exit_code == 0
    assert len(crm.contacts) == 2


def test_a_tracking_code_as_key_is_recognised(program: Program) -> None:
    ended = program.run(ZENOVAY_API_KEY="ZV_public_tracking_code")

    assert ended.exit_code == 2
    assert "tracking code" in ended.stderr
    assert "zv_" in ended.stderr
    assert "ZV_public" not in ended.stderr
    assert len(program.sandbox.zenovay.requests) == 0


def test_check_names_a_fix_for_each_failure(program: Program) -> None:
    program.visitors(row(1))
    assert program("check", "--json").exit_code == 0

    no_properties(program)
    wrong_website(program)
    ended = program("check", "--json")

    findings = ended.value
    assert ended.exit_code == 2
    assert all(set(each) == {"check", "ok", "saw", "fix"} for each in findings)
    failed = {each["check"]: each["fix"] for each in findings if not each["ok"]}
    assert "visitor-sync setup" in failed["hubspot properties"]
    assert all(failed.values())
    assert program.sandbox.hubspot.contacts == {}
    assert not program.state_file.exists()


def test_check_without_settings_says_so(program: Program) -> None:
    ended = program("check", "--json", HUBSPOT_ACCESS_TOKEN="")

    assert ended.exit_code == 2
    (finding,) = ended.value
    assert finding["ok"] is False
    assert "HUBSPOT_ACCESS_TOKEN" in finding["saw"]


def test_setup_makes_what_is_missing_and_may_be_repeated(program: Program) -> None:
    no_properties(program)

    assert program("setup").exit_code == 0
    assert program("setup").exit_code == 0

    made = program.sandbox.hubspot.schema.definitions
    assert {"zenovay_last_seen", "zenovay_pageviews", "zenovay_visitor_id"} <= set(made)
    program.visitors(row(1))
    assert program.run().exit_code == 0


def test_a_pasted_token_that_the_vendor_echoes_is_not_printed(program: Program) -> None:
    """Some gateways quote the credential in the message of a 401."""
    program.settings |= {"ZENOVAY_API_KEY": KEY}
    program.sandbox.zenovay.api_key = KEY + "x"
    program.visitors(row(1))

    ended = program.run()

    assert ended.exit_code == 5
    no_secret_in(program, ended)
