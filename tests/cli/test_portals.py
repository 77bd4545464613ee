"""``--portal`` with real commands: each portal is a sandbox of its own, and the two never meet."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from program import OURS, Ended, called, row
from storm import Storm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Agency:
    """Two portals, ``acme`` and ``be-ta``, that are declared in one file."""

    folder: Path
    acme: Storm
    beta: Storm

    def declare(self, *more: str) -> None:
        tables = [
            _tables("acme", self.acme.environment(), "w-acme"),
            _tables("be-ta", self.beta.environment(), "w-beta"),
        ]
        (self.folder / "visitor-sync.toml").write_text("\n".join((*tables, *more)))

    def environment(self) -> dict[str, str]:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
        secrets = {
            f"{name}_{kind}": storm.environment()[variable]
            for name, storm in (("ACME", self.acme), ("BETA", self.beta))
            for kind, variable in (("KEY", "ZENOVAY_API_KEY"), ("TOKEN", "HUBSPOT_ACCESS_TOKEN"))
        }
        return inherited | secrets | {"SYNC_STATE_URL": f"sqlite:///{self.folder}/state.db"}

    def __call__(self, *arguments: str, **settings: str) -> Ended:
        return called(*arguments, environment=self.environment() | settings, folder=self.folder)


def _tables(name: str, environment: dict[str, str], website: str) -> str:
    word = name.replace("-", "").upper()
    return f"""
[[keys]]
name = "{name}"
key_env = "{word}_KEY"
base_url = "{environment["ZENOVAY_BASE_URL"]}"
requests_per_minute = 1000

[[portals]]
name = "{name}"
token_env = "{word}_TOKEN"
base_url = "{environment["HUBSPOT_BASE_URL"]}"
requests_per_10_seconds = 1000

[[sites]]
website = "{website}"
portal = "{name}"
key = "{name}"
"""


def recently() -> str:
    """A day that Zenovay still reaches, and that is not in the future."""
    return str((datetime.now(UTC) - timedelta(days=3)).date())


@pytest.fixture
def agency(tmp_path: Path) -> Iterator[Agency]:
    """Each portal has a visitor who is known by an address."""
    acme, beta = Storm(), Storm()
    for number, (name, storm) in enumerate((("acme", acme), ("beta", beta))):
        storm.zenovay.api_key, storm.hubspot.access_token = f"zv_{name}", f"pat-{name}"
        storm.hubspot.portal_id = 1000 + number
        storm.zenovay.websites[f"w-{name}"] = [row(number, email=f"ann@{name}.test")]
        storm.hubspot.install_properties()
    with acme, beta:
        made = Agency(tmp_path, acme, beta)
        made.declare()
        yield made


def emails(storm: Storm) -> set[str | None]:
    with storm.hubspot.lock:
        return {each.get("email") for each in storm.hubspot.contacts.values()}


def sync(agency: Agency, name: str) -> None:
    ended = agency("run", "--portal", name)
    assert ended.exit_code == 0, ended.stderr


def test_contacts_of_a_portal_never_reach_another(agency: Agency) -> None:
    sync(agency, "acme")

    assert emails(agency.acme) == {"ann@acme.test"}
    assert (agency.beta.hubspot.requests, agency.beta.zenovay.requests) == ([], [])
    sync(agency, "be-ta")
    assert (emails(agency.acme), emails(agency.beta)) == ({"ann@acme.test"}, {"ann@beta.test"})
    assert {path.name for path in (agency.folder / "portals").glob("*.db")} == {"acme.db", "be-ta.db"}
    assert not (agency.folder / "state.db").exists()


@pytest.mark.parametrize("arguments", [("--portal", "acme", "check"), ("check", "--portal", "acme")])
def test_check_is_of_one_portal(agency: Agency, arguments: tuple[str, ...]) -> None:
    ended = agency(*arguments)

    assert ended.exit_code == 0, ended.stdout
    assert agency.beta.hubspot.requests == []


def test_check_makes_the_checks_with_each_key_of_a_portal(agency: Agency) -> None:
    agency.declare('[[sites]]\nwebsite = "w-beta"\nportal = "acme"\nkey = "be-ta"\n')

    found = agency("check", "--portal", "acme", "--json", BETA_TOKEN="")

    names = [each["check"] for each in found.value]
    assert found.exit_code == 0
    assert names[0] == "settings"
    assert len([name for name in names if name.endswith(" (key acme)")]) == (len(names) - 1) / 2
    assert {entry.path.split("/")[-2] for entry in agency.beta.zenovay.requests if "visitors" in entry.path}


def test_a_backfill_goes_through_all_keys_of_a_portal(agency: Agency) -> None:
    agency.declare('[[sites]]\nwebsite = "w-beta"\nportal = "acme"\nkey = "be-ta"\n')

    ended = agency("backfill", "--from", recently(), "--portal", "acme", "--json", BETA_TOKEN="")

    assert ended.exit_code == 0, ended.stderr
    assert [each["website"] for each in ended.summaries] == ["w-acme", "w-beta"]
    assert emails(agency.acme) == {"ann@acme.test", "ann@beta.test"}
    assert agency.beta.hubspot.requests == []


def test_what_is_about_one_key_refuses_a_portal_with_several(agency: Agency) -> None:
    agency.declare('[[sites]]\nwebsite = "w-beta"\nportal = "acme"\nkey = "be-ta"\n')

    for command in (("report",), ("live",), ("alert", "--visitors-above", "3")):
        ended = agency(*command, "--portal", "acme")
        assert ended.exit_code == 2, command
        assert "several keys (acme, be-ta)" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("setup",),
        ("status",),
        ("explain", "ann@acme.test"),
        ("rejections",),
        ("rejections", "retry", "--all"),
        ("backfill", "--from", recently()),
        ("report",),
        ("state", "backup", "copy.db"),
        ("resync", "--yes"),
        ("forget", "ann@acme.test", "--in-hubspot"),
        ("schedule",),
    ],
)
def test_every_command_works_on_the_portal(agency: Agency, arguments: tuple[str, ...]) -> None:
    sync(agency, "acme")

    ended = agency(*arguments, "--portal", "acme")

    assert ended.exit_code == 0, ended.stderr
    assert agency.beta.hubspot.requests == []
    assert agency.beta.zenovay.requests == []
    assert {path.name for path in agency.folder.rglob("*.db")} <= {"acme.db", "fleet.db", "copy.db"}


def test_undo_puts_back_what_a_run_did_to_the_portal(agency: Agency) -> None:
    told = agency("run", "--portal", "acme", "--json")
    run = told.summary["run"]

    assert agency("undo", run, "--portal", "be-ta").exit_code == 2
    assert agency("undo", run, "--portal", "acme").exit_code == 0


def test_the_schedule_of_a_portal_names_it(agency: Agency) -> None:
    ended = agency("schedule", "--portal", "acme")

    assert " --portal acme run --cron" in ended.stdout
    assert "ACME_KEY" in ended.stderr


def test_a_schedule_is_of_all_portals_at_the_shortest_interval(agency: Agency) -> None:
    agency.declare('[[sites]]\nwebsite = "w-two"\nportal = "acme"\nkey = "acme"\nevery = "3m"\n')

    ended = agency("schedule")

    (line,) = [each for each in ended.stdout.splitlines() if not each.startswith("#")]
    assert (ended.exit_code, line[:12]) == (0, "*/3 * * * * ")
    assert line.endswith(" run --all --cron")
    beta = agency("schedule", "--portal", "be-ta").stdout
    assert "\n*/5 * * * * " in beta
    assert "requests a month" not in ended.stdout + beta


def test_nothing_is_recommended_to_a_portal_but_what_its_key_is_declared_for(agency: Agency) -> None:
    agency.declare('[[sites]]\nwebsite = "w-two"\nportal = "acme"\nkey = "acme"\nevery = "1m"\n')
    agency.acme.zenovay.websites["w-two"] = []
    sync(agency, "acme")

    found, checked = agency("status", "--portal", "acme", "--json"), agency("check", "--portal", "acme")

    two = next(each for each in found.value["websites"] if each["website"] == "w-two")
    started = datetime.fromisoformat(two["runs"][0]["started"])
    assert timedelta(0) <= datetime.fromisoformat(two["next_run"]) - started <= timedelta(minutes=1)
    assert found.value["schedule"]["shortest_interval_s"] is None
    assert "once in its every" in found.value["schedule"]["says"]
    assert "interval that fits" not in checked.stdout
    assert "The key acme has 2 sites" in checked.stdout


def test_without_a_choice_the_portals_are_named(agency: Agency) -> None:
    for command in (("status",), ("run",), ("check",)):
        ended = agency(*command)
        assert ended.exit_code == 2, command
        assert "Give --portal NAME, of acme, be-ta" in ended.stdout + ended.stderr


def test_an_unknown_portal_is_a_wrong_setting(agency: Agency) -> None:
    ended = agency("status", "--portal", "acmé")

    assert ended.exit_code == 2
    assert "The nearest one is acme" in ended.stderr


def test_a_set_up_by_environment_goes_on_as_before(agency: Agency) -> None:
    alone = agency.beta.environment() | {"ZENOVAY_WEBSITE_ID": "w-beta"}

    ended = agency("run", **alone)

    assert ended.exit_code == 0, ended.stderr
    assert emails(agency.beta) == {"ann@beta.test"}
    assert agency.acme.hubspot.requests == []
    assert (agency.folder / "state.db").exists()


def test_what_a_vendor_echoes_of_a_secret_is_not_shown(agency: Agency) -> None:
    agency.acme.hubspot.access_token = "pat-revoked"

    ended = agency("run", "--portal", "acme", ACME_TOKEN="pat-acme")

    assert ended.exit_code != 0
    assert "pat-acme" not in ended.stdout + ended.stderr


def test_portals_share_no_memory_of_what_was_told(agency: Agency) -> None:
    """Each tells of its own trouble: the second is not silent because the first has told."""
    for storm in (agency.acme, agency.beta):
        storm.hubspot.access_token = "pat-revoked"
    tokens = {"ACME_TOKEN": "pat-acme", "BETA_TOKEN": "pat-beta"}

    told = [agency("run", "--cron", "--portal", name, **tokens).stdout for name in ("acme", "be-ta", "acme")]

    assert all(told[:2])
    assert told[2] == ""


def test_a_copy_says_what_makes_the_portal_use_it(agency: Agency) -> None:
    sync(agency, "be-ta")
    there = agency.folder / "moved" / "portals" / "be-ta.db"
    there.parent.mkdir(parents=True)

    ended = agency("state", "copy", "--portal", "be-ta", f"sqlite:///{there}")

    assert (ended.exit_code, ended.stderr) == (0, "")
    base = agency.folder / "moved" / "state.db"
    assert f"the portal be-ta uses that once SYNC_STATE_URL is {base}." in ended.stdout
    again = agency("run", "--portal", "be-ta", "--now", "--json", SYNC_STATE_URL=f"sqlite:///{base}")
    assert again.summary["contacts"]["unchanged"] == 1


def test_a_copy_to_where_no_run_of_the_portal_looks_is_warned_of(agency: Agency, postgres_url: str) -> None:
    sync(agency, "be-ta")

    ended = agency("state", "copy", "--portal", "be-ta", postgres_url)

    assert ended.exit_code == 0
    assert "SYNC_STATE_URL" not in ended.stdout
    assert "schema=visitor_sync_be_ta" in ended.stderr
    right = f"{postgres_url}?schema=visitor_sync_be_ta"
    assert agency("state", "copy", "--portal", "be-ta", right).stderr == ""
    again = agency("run", "--portal", "be-ta", "--now", "--json", SYNC_STATE_URL=postgres_url)
    assert again.summary["contacts"]["unchanged"] == 1


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_set_up_by_environment_is_told_that_a_portal_has_its_token(agency: Agency, command: str) -> None:
    alone = agency.beta.environment() | {"ZENOVAY_WEBSITE_ID": "w-beta"}

    ended = agency(command, "--json", **alone)

    assert ended.exit_code == 0, ended.stderr
    told = ended.summary["warnings"] if command == "run" else [json.dumps(ended.value)]
    assert "The portal be-ta" in " ".join(told)
    assert "The key be-ta" in " ".join(told)
    assert not any("acme" in each for each in told)
