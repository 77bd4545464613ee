"""The README, the help topics, .env.example, .ci/run and the architecture say what the code says."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import etl
from etl import errors
from etl.cli.commands import program
from etl.cli.fleet.objects import fleet_object
from etl.cli.help import topics
from etl.cli.options import COMMON, LEVELS
from etl.cli.printout import CHANGES
from etl.cli.scheduling import crontab
from etl.cli.scheduling.cadence import afforded
from etl.cli.scheduling.job import Job
from etl.cli.scheduling.units import units
from etl.errors import SettingsError, SyncError
from etl.fields import BASIC, FIELDS
from etl.fleet.overview import BackfillState, Overview, PortalState, Quota, SiteState, WorkerState
from etl.fleet.roster import Site
from etl.settings import all_sections, file_variables, known_variables, load
from etl.watch.metrics import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TOPICS = topics()
WRITTEN = {"README": README, **TOPICS}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENV_EXAMPLE = (ROOT / ".env.example").read_text()
OF_FIELDS = [*(field.setting for field in FIELDS), *(field.write_setting for field in FIELDS)]
SIGNALS = {130, 143}
DONE = 0


def chapter(title: str) -> str:
    """The text under a heading, up to the next one of its kind or above it."""
    _, marks, rest = re.split(rf"^(##+) {re.escape(title)}$", README, maxsplit=1, flags=re.MULTILINE)
    return re.split(rf"^#{{2,{len(marks)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str) -> list[list[str]]:
    """The cells of the one table in ``text``, without its head."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in rows[2:]]


SETTINGS = chapter("Settings").partition("### Fields")[0]


def blocks(language: str, text: str = README) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [text for spoken, text in fenced if spoken == language]


def code(cell: str) -> str:
    """The first piece of code in a cell, "" if it has none."""
    found = re.match(r"`([^`]+)`", cell)
    return found[1] if found else ""


def commands(
    group: click.Group = program, names: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Every command by its full name."""
    for name, command in group.commands.items():
        yield " ".join((*names, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))


def invocations(text: str) -> Iterator[list[str]]:
    """The arguments of every ``visitor-sync …`` in ``text``, in its blocks and in its sentences."""
    lines = [
        line
        for language in ("sh", "", "ini")
        for block in blocks(language, text)
        for line in block.splitlines()
        if not line.startswith("Usage:")
    ]
    for piece in [*lines, *re.findall(r"`([^`\n]+)`", text)]:
        for found in re.finditer(r"(?:^|[\s/=])visitor-sync(?: +([^#|&>]*?))? *(?:2>>|[#|&]|$)", piece):
            if found[1]:
                yield shlex.split(found[1])


def understood(command: click.Command, arguments: list[str], parent: click.Context | None = None) -> None:
    """Parse without running; a bare name is understood. Raises UsageError for what does not exist."""
    if not arguments:
        return
    with command.make_context(command.name, list(arguments), parent=parent) as context:
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            if rest:
                _, inner, remaining = command.resolve_command(context, rest)
                assert inner is not None
                understood(inner, remaining, context)


def field_of(variable: str) -> tuple[Any, Any]:
    """The section class and the field behind a variable."""
    for section in all_sections():
        prefix = section.model_config.get("env_prefix") or ""
        for name, field in section.model_fields.items():
            if variable == (field.validation_alias or f"{prefix}{name}".upper()):
                return section, field
    raise AssertionError(variable)


def value_of(variable: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the program takes ``text`` for."""
    section, field = field_of(variable)
    for name in known_variables():
        monkeypatch.delenv(name, raising=False)
    for name, needed in (
        ("ZENOVAY_API_KEY", "zv_x"),
        ("ZENOVAY_WEBSITE_ID", "w"),
        ("HUBSPOT_ACCESS_TOKEN", "t"),
    ):
        monkeypatch.setenv(name, needed)
    monkeypatch.setenv(variable, text)
    (name,) = (name for name, known in section.model_fields.items() if known is field)
    return getattr(section(), name)


def test_the_table_of_commands_says_what_the_help_says_and_is_complete() -> None:
    written = {
        code(name): (does, set(re.findall(r"--[a-z-]+", options)))
        for name, does, options in table(chapter("Operating it"))
    }

    real = {
        f"visitor-sync {name}": (
            command.get_short_help_str(limit=1000).rstrip("."),
            {
                option
                for parameter in command.params
                if isinstance(parameter, click.Option)
                for option in parameter.opts
            },
        )
        for name, command in commands()
    }
    assert written == real


def test_the_options_of_all_commands_are_listed_once_for_all() -> None:
    (sentence,) = re.findall(
        r"^Every command takes (.+), before its name or behind it\.$", README, re.MULTILINE
    )

    assert re.findall(r"--[a-z-]+", sentence) == [option for each in COMMON for option in each.opts]
    for name, command in [("", program), *commands()]:
        taken = command.get_params(click.Context(command))
        assert [each for each in COMMON if each not in taken] == [], name
    assert re.findall(r"`([a-z]+)`", TOPICS["settings"].partition("`--log-level ")[2])[0:3] == list(
        LEVELS[1:]
    )


def test_every_command_in_the_readme_and_the_topics_exists() -> None:
    found = [arguments for text in WRITTEN.values() for arguments in invocations(text)]

    assert len(found) > 40
    for arguments in found:
        understood(program, arguments)


def test_every_topic_that_is_referred_to_exists_and_the_readme_names_all() -> None:
    named = {
        arguments[1]
        for text in WRITTEN.values()
        for arguments in invocations(text)
        if arguments[0] == "help" and len(arguments) > 1
    }

    assert named - {"TOPIC"} <= TOPICS.keys()
    assert [topic for topic in TOPICS if f"`{topic}`" not in README] == []


@pytest.mark.parametrize("name", WRITTEN)
def test_every_variable_of_ours_that_is_named_is_a_setting(name: str) -> None:
    named = re.findall(r"\b(?:ZENOVAY|HUBSPOT|SYNC)_[A-Z][A-Z0-9_]+", WRITTEN[name])

    known = [*known_variables(), *file_variables(), "SYNC_PLAN_PROPERTY"]  # the last: of a topic's own field
    assert [variable for variable in named if variable not in known] == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    for arguments in (
        ["runn"],
        ["run", "--fast"],
        ["backfill", "--to", "2026-01-31"],
        ["rejections", "drop"],
    ):
        with pytest.raises(click.UsageError):
            understood(program, arguments)


def test_the_table_of_settings_names_every_variable_once_in_the_program_s_order() -> None:
    written = [code(variable) for variable, *_ in table(SETTINGS)]

    assert written[-2:] == ["SYNC_<FIELD>_PROPERTY", "SYNC_<FIELD>_WRITE"]
    assert written[:-2] == [variable for variable in known_variables() if variable not in OF_FIELDS]


def test_the_topic_on_watching_names_every_metric_and_what_it_means() -> None:
    written = re.findall(r"^- `(visitor_sync_\w+)`[^:]*: (.+)$", TOPICS["watching"], re.MULTILINE)

    assert [(name, said[0].upper() + said[1:]) for name, said in written] == list(NAMES)


def test_the_topic_on_logs_names_every_action_of_the_program() -> None:
    written = re.findall(r"^- `(\w+)`: ", TOPICS["logs"], re.MULTILINE)
    said = re.compile(r'"action": "(\w+)"|\b_facts\(order, "(\w+)"\)')

    sources = [path.read_text() for path in (ROOT / "etl").rglob("*.py")]
    found = {"".join(names) for source in sources for names in said.findall(source)}
    assert len(written) == len(set(written))
    assert set(written) == found


def keys_of(value: dict[str, Any], name: str = "") -> dict[str, set[str]]:
    """The keys of an object, and of those in it, by the key that each stands under."""
    found = {name: {*value}}
    for key, inner in value.items():
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, dict):
                found |= keys_of(each, key)
    return found


def test_the_topic_on_the_fleet_names_every_key_of_its_status() -> None:
    now = datetime(2026, 1, 31, tzinfo=UTC)
    worker = WorkerState("host", 1, "0.1.0", now, alive=True)
    site = SiteState(Site("acme", "site-1", "agency", timedelta(minutes=5)), worker=worker, since=now)
    past = BackfillState("agency", now, None, now, 0, 0, None, None, None)
    portal = PortalState("acme", [site], [Quota("agency")], Quota("acme"), [past])
    real = keys_of(fleet_object(Overview(now, [portal], [worker])))

    written: dict[str, set[str]] = {}
    groups = [""]
    for into, keys, _, _ in table(TOPICS["fleet"].partition("`fleet status --json` says")[2]):
        groups = re.findall(r"`(\w+)`", into) or groups
        for group in groups:
            written.setdefault(group, set()).update(re.findall(r"`(\w+)`", keys))
    assert real.pop("runner") == written["workers"] | {"since"}
    assert written == real


def test_the_table_of_fields_is_that_of_the_program() -> None:
    written = table(chapter("Fields"))

    assert [(code(name), code(prop), kind, code(member)) for name, prop, kind, member, _ in written] == [
        (field.name, field.property_name, field.kind.property_type, field.member) for field in FIELDS
    ]


@pytest.mark.parametrize(
    ("variable", "default"),
    [(code(variable), default) for variable, default, _ in table(SETTINGS)[:-2]],
)
def test_the_table_of_settings_gives_the_real_default(
    variable: str, default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, field = field_of(variable)

    if code(default):
        assert value_of(variable, code(default), monkeypatch) == field.default
    elif default == "required":
        assert field.is_required()
    else:
        assert field.default is None


def test_the_env_example_names_every_variable_with_its_real_default(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"^(# )?([A-Z][A-Z0-9_]+)=(.*)$", ENV_EXAMPLE, flags=re.MULTILINE)

    optional = {*OF_FIELDS} - {name for field in BASIC for name in (field.setting, field.write_setting)}
    assert [variable for _, variable, _ in lines] == [
        variable for variable in known_variables() if variable not in optional
    ]
    for commented, variable, default in lines:
        _, field = field_of(variable)
        assert bool(commented) is not field.is_required()
        if default:
            assert value_of(variable, default, monkeypatch) == field.default
        else:
            assert field.is_required() or field.default is None


def test_every_variable_of_the_env_example_is_explained() -> None:
    lines = ENV_EXAMPLE.splitlines()
    before = [
        lines[number - 1] for number, line in enumerate(lines) if re.match(r"(# )?[A-Z][A-Z0-9_]+=", line)
    ]

    assert [line for line in before if not re.match(r"# [A-Z].+\.$", line)] == []


def test_the_env_example_as_it_is_lacks_only_what_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith(("ZENOVAY_", "HUBSPOT_", "SYNC_"))]:
        monkeypatch.delenv(variable)
    (tmp_path / ".env").write_text(ENV_EXAMPLE)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError) as caught:
        load()

    assert str(caught.value).startswith("3 settings are wrong:")
    assert str(caught.value).count(" is missing") == 3


@pytest.mark.parametrize("text", [chapter("Exit codes"), TOPICS["exit-codes"]], ids=["README", "help"])
def test_the_table_of_exit_codes_is_complete(text: str) -> None:
    classes = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, SyncError)
    ]

    written = [int(number) for number, *_ in table(text)]

    assert written == sorted({each.exit_code for each in classes} | {DONE, CHANGES} | SIGNALS)


def test_ci_runs_the_tests_as_the_readme_says() -> None:
    (command,) = {
        line.partition("uv run")[2]
        for block in blocks("sh")
        for line in block.splitlines()
        if " pytest " in line
    }
    script = (ROOT / ".ci" / "run").read_text().splitlines()

    assert f"uv run{command}" in script


def test_ci_runs_every_check_that_the_readme_names() -> None:
    (named,) = re.findall(r"runs every check: (.+?) and the tests", chapter("Developing"), re.DOTALL)
    checks = re.findall(r"`(.+?)`", named)
    script = (ROOT / ".ci" / "run").read_text()

    assert len(checks) == 5
    assert [check for check in checks if check not in script] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NO SYSTEMD: its units were not verified")
def test_systemd_understands_the_units_for_the_whole_machine(tmp_path: Path) -> None:
    made = units(Job(("/bin/true",), "/opt/visitor-sync"), afforded([None], allowed=9500))
    (drop_in,) = blocks("ini", TOPICS["cron"])
    names = [tmp_path / name for name in made]
    for path, text in zip(names, made.values(), strict=True):
        path.write_text(text)
    (beside,) = re.findall(r"`(visitor-sync\.service\.d/\S+)`", TOPICS["cron"])
    (tmp_path / beside).parent.mkdir()
    (tmp_path / beside).write_text(drop_in)

    def complaints() -> list[str]:
        verified = subprocess.run(
            ["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False
        )
        return [line for line in verified.stderr.splitlines() if "visitor-sync" in line]

    assert complaints() == []
    (tmp_path / beside).write_text(f"{drop_in}ProtectEverything=true\n")
    assert any("ProtectEverything" in line for line in complaints())


def test_an_upgrade_keeps_what_was_installed_beside_the_program() -> None:
    (line,) = [line for line in chapter("Upgrade").splitlines() if line.startswith("git pull")]

    assert "uv sync --locked --no-dev --inexact " in line


def test_no_message_names_a_package_of_the_index() -> None:
    foreign = re.compile(r"pip install|visitor-sync\[")

    assert [path for path in (ROOT / "etl").rglob("*.py") if foreign.search(path.read_text())] == []


def test_the_line_for_cron_is_the_program_s_own() -> None:
    job = Job(("/opt/visitor-sync/.venv/bin/visitor-sync",), "/opt/visitor-sync")
    made = crontab.line(job, afforded([None], allowed=9500))

    for text in (README, TOPICS["cron"]):
        assert [line for line in text.splitlines() if line.startswith("*/")] == [made]


def test_the_layout_names_what_is_there() -> None:
    (layout,) = (block for block in blocks("") if "etl/pipeline/" in block)

    written = re.findall(r"\b((?:etl|migrations|tests)/[a-z_/]*(?:\.py|/))", layout)

    assert len(written) > 8
    assert [path for path in written if not (ROOT / path).exists()] == []


def test_the_flow_is_drawn_once_and_for_all() -> None:
    drawn = blocks("")[0].rstrip()

    assert "──extract──▶" in drawn
    assert drawn in (etl.__doc__ or "").replace("\n    ", "\n")


def layers_of_the_architecture() -> list[str]:
    """The lines of packages at its end; what does not fit beside them stands on the next line."""
    lines = re.findall(
        r"^(etl\.[a-z_]+(?: \| etl\.[a-z_]+)*)(?:\s{2,}\S.*)?$", etl.__doc__ or "", flags=re.MULTILINE
    )
    return list(lines)


def test_the_architecture_gives_the_layers_as_import_linter_holds_them() -> None:
    (contract,) = [
        each for each in PYPROJECT["tool"]["importlinter"]["contracts"] if each["type"] == "layers"
    ]

    assert layers_of_the_architecture() == contract["layers"]


def test_every_module_has_its_place_in_the_architecture() -> None:
    placed = {name for line in layers_of_the_architecture() for name in line.split(" | ")}

    there = {
        f"etl.{path.stem}"
        for path in (ROOT / "etl").iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert placed == there


def test_links_lead_to_a_chapter() -> None:
    headings = {
        title.lower().replace(" ", "-") for title in re.findall(r"^##+ (.+)$", README, flags=re.MULTILINE)
    }

    assert [link for link in re.findall(r"\]\(#([^)]+)\)", README) if link not in headings] == []


def test_the_readme_can_be_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= 300
