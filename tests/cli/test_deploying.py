"""What the topic ``deploying`` says: its commands exist, and the program lives in such a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import click
import pytest
from program import COMMAND, row

from etl.cli.commands import program as command_line
from etl.cli.help import topics

if TYPE_CHECKING:
    from pathlib import Path

    from program import Program

TOPIC = topics()["deploying"]
LISTS = [
    [word.strip(' "') for word in found.split(",")]
    for found in re.findall(r"^\s*(?:args|command|CMD|test)?:? ?(?:CMD )?\[(.+)\]$", TOPIC, re.MULTILINE)
]
CALLS = [words for words in LISTS if words[0] in command_line.commands]

RUN = ["run", "--portal", "acme"]

CONFINED = """
set -e
mount --make-rprivate /
mount --bind / /
mount -t tmpfs none /run
mount -o remount,ro,bind /
cd /
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \
    --bounding-set=-all,+dac_read_search \
    env -i "$@"
"""
"""A user without a name, home or rights, below a root that is read-only.

To read what is the owner's alone is the one right that is left: Python may stand in somebody's home.
"""


@pytest.mark.parametrize("words", CALLS, ids=" ".join)
def test_what_the_containers_call_can_be_called(words: list[str]) -> None:
    command: click.Command = command_line
    context, rest = click.Context(command), list(words)
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, words
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.parse_args(context, rest)


def test_the_topic_calls_what_it_should() -> None:
    assert [words for words in (["fleet", "init"], ["fleet", "worker"], RUN) if words not in CALLS] == []


DECLARED = """
[[keys]]
name = "agency"
key_env = "AGENCY_ZENOVAY_KEY"
base_url = "{zenovay}"
[[portals]]
name = "acme"
token_env = "ACME_HUBSPOT_TOKEN"
base_url = "{hubspot}"
[[sites]]
website = "{website}"
portal = "acme"
key = "agency"
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="NOT ROOT: nothing can be confined"
)
def test_it_runs_without_a_name_a_home_or_a_place_to_write(
    program: Program, postgres_url: str, tmp_path: Path
) -> None:
    program.visitors(row(1, email="ann@example.test"))
    play = program.sandbox.environment()
    declared = tmp_path / "visitor-sync.toml"
    declared.write_text(
        DECLARED.format(
            zenovay=play["ZENOVAY_BASE_URL"], hubspot=play["HUBSPOT_BASE_URL"], website=program.website
        )
    )
    settings = {
        "SYNC_CONFIG": str(declared),
        "SYNC_STATE_URL": postgres_url,
        "AGENCY_ZENOVAY_KEY": play["ZENOVAY_API_KEY"],
        "ACME_HUBSPOT_TOKEN": play["HUBSPOT_ACCESS_TOKEN"],
    } | {
        name: value
        for name, value in os.environ.items()
        if name.lower() == "no_proxy" or name == "PYTHONPATH"
    }

    made, ended = (confined(settings, *words) for words in (("fleet", "init"), (*RUN, "--json")))

    assert (made.returncode, ended.returncode) == (0, 0), made.stderr + ended.stderr
    assert json.loads(ended.stdout)["contacts"]["created"] == 1
    assert len(program.sandbox.hubspot.contacts) == 1


def confined(settings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    given = [f"{name}={value}" for name, value in settings.items()]
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", CONFINED, "sh", *given, str(COMMAND), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
