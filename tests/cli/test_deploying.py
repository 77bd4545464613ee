"""What the topic ``deploying`` says: its commands exist, and the program lives in such a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import click
import pytest
from program import COMMAND, row

from etl.cli.commands import program as command_line
from etl.cli.help import topics

if TYPE_CHECKING:
    from program import Program

ROOT = Path(__file__).parents[2]

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


def test_the_image_is_made_of_what_a_wheel_is_made_of_and_of_nothing_else() -> None:
    copied = [words.split() for words in re.findall(r"^COPY (?!--from)(.+)$", TOPIC, re.MULTILINE)]
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, wheel = declared["project"], declared["tool"]["hatch"]["build"]["targets"]["wheel"]

    made_of = {"pyproject.toml", "uv.lock", project["readme"], *project["license-files"]}
    made_of |= {*wheel["packages"], *wheel["force-include"]}
    assert {name for *names, _ in copied for name in names} == made_of


def test_the_containers_are_of_the_image_that_is_built() -> None:
    (built,) = {*re.findall(r"docker build -t (\S+)", TOPIC)}
    used = re.findall(r"(?:image: |--stop-timeout 60 )(visitor-sync\S*)", TOPIC)

    assert len(used) == 5
    assert {*used} == {built}


def of_the_job(*words: str) -> list[str]:
    """What the Job of the CronJob calls, with these words for the program and its arguments."""
    (script,) = re.findall(r"- sh\n +- -c\n +- \|\n((?:.+\n)+?) +- visitor-sync\n", TOPIC)
    return ["sh", "-c", dedent(script), *words]


@pytest.mark.parametrize(
    ("code", "told"), [(0, 0), (1, 1), (2, 2), (3, 0), (4, 0), (5, 5), (6, 6), (7, 7), (75, 0), (143, 143)]
)
def test_a_job_fails_where_a_person_must_act_and_nowhere_else(code: int, told: int) -> None:
    program = [sys.executable, "-c", f"import sys; sys.exit({code} if sys.argv[1:] == ['run'] else 99)"]

    assert subprocess.run(of_the_job(*program, "run"), check=False, timeout=60).returncode == told


def test_a_job_hands_sigterm_on_and_waits_for_the_run_to_end() -> None:
    program = """
import os, signal, sys, time
def stop(*_):
    time.sleep(0.5)
    os.write(1, b"ended\\n")  # the signal may come while print is at work, which cannot be called twice
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
os.write(1, b"begun\\n")
time.sleep(60)
"""
    call = of_the_job(sys.executable, "-c", program)
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout
        assert job.stdout.readline() == "begun\n"
        job.send_signal(signal.SIGTERM)
        said, _ = job.communicate(timeout=60)

    assert (said, job.returncode) == ("ended\n", 143)


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
