"""Secrets in files of their own: those that a variable names, and those of systemd, Docker and Kubernetes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, OURS, row
from test_envfile import without_privileges

from etl.errors import SettingsError
from etl.settings import (
    all_sections,
    defaults,
    exposed,
    file_variables,
    known_variables,
    load,
    load_places,
    load_sync,
    load_watch,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from program import Program

KEY, TOKEN = "zv_geheimnis", "pat-geheimnis"
PING = "https://hc.example/ping/geheimnis"
CONFIDENTIAL = (
    "ZENOVAY_API_KEY",
    "HUBSPOT_ACCESS_TOKEN",
    "SYNC_STATE_URL",
    "SYNC_NOTIFY",
    "SYNC_PING_URL",
    "SLACK_WEBHOOK_URL",
)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set but the id of a website; what is mounted is in ``mounted``."""
    for name in [name for name in os.environ if name.upper().startswith((*OURS, "SLACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("ZENOVAY_WEBSITE_ID", "w-1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("etl.settings.sources.MOUNTED", tmp_path / "mounted")


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    (tmp_path / "mounted").mkdir()
    return tmp_path / "mounted"


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def complaint() -> str:
    with pytest.raises(SettingsError) as caught:
        load()
    assert "geheimnis" not in str(caught.value)
    return str(caught.value)


def test_a_directory_of_secrets_that_cannot_be_looked_into_is_told(
    credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret in it would be taken for one that is not set, such as where the state is."""
    monkeypatch.setattr("os.access", lambda path, _: str(path) != str(credentials))
    assert "CREDENTIALS_DIRECTORY: the directory" in complaint()
    credentials.rmdir()
    assert "CREDENTIALS_DIRECTORY" not in complaint()


def test_whatever_may_hold_a_secret_may_stand_in_a_file() -> None:
    assert sorted(file_variables()) == sorted(f"{name}_FILE" for name in CONFIDENTIAL)
    assert [section for section in all_sections() if "_FILE" in "".join(section.model_fields)] == []
    assert set(file_variables()) & set(known_variables()) == set()


@pytest.mark.parametrize("written", [KEY, f"{KEY}\n", f"\ufeff  {KEY}\r\n\n"])
def test_the_file_that_a_variable_names_is_read_without_the_white_space_around(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(written, encoding="utf-8")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / ".env").write_text("HUBSPOT_ACCESS_TOKEN_FILE=token\n")
    monkeypatch.setenv("ZENOVAY_API_KEY_FILE", str(tmp_path / "key"))

    settings = load()

    assert settings.secrets() == (KEY, TOKEN)
    assert "geheimnis" not in repr(settings)


def test_every_one_of_them_is_read_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = dict(
        zip(
            CONFIDENTIAL,
            (KEY, TOKEN, "sqlite:///x.db", "slack", PING, "https://hooks.example/geheimnis"),
            strict=True,
        )
    )
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setenv(f"{name}_FILE", name)

    settings = load()

    watch, places = load_watch(), load_places()
    assert settings.sync.state_url == "sqlite:///x.db"
    assert places
    assert places.state_url == "sqlite:///x.db"
    for each in (settings.watch, watch):
        assert (each.notified, each.webhook) == (("slack",), "https://hooks.example/geheimnis")
        assert each.ping_url
        assert each.ping_url.get_secret_value() == PING
    assert {KEY, TOKEN, PING, "https://hooks.example/geheimnis"} <= set(settings.secrets())


def nothing(path: Path) -> None:
    del path


def folder(path: Path) -> None:
    path.mkdir()


FAULTS: dict[str, Callable[[Path], object]] = {
    "is not there": nothing,
    "is a directory": folder,
    "is a pipe or a device": os.mkfifo,
    "is empty": lambda path: path.write_text(" \n"),
    "is not UTF-8": lambda path: path.write_bytes(b"zv_geheimnis\xff"),
    "holds a NUL byte": lambda path: path.write_bytes(b"zv_\0geheimnis"),
    "is larger than 64 KiB": lambda path: path.write_bytes("geheimnis\u20ac".encode() * 7000),
    "cannot be read: Too many levels of symbolic links": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("place", ["environment", ".env"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_named_file_that_is_no_secret_is_told_by_variable_and_path(
    fault: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    FAULTS[fault](path)
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "")
    if place == "environment":
        monkeypatch.setenv("ZENOVAY_API_KEY_FILE", str(path))
    else:
        (tmp_path / ".env").write_text(f"ZENOVAY_API_KEY_FILE={path}\n")

    said = complaint()

    at = str(tmp_path / ".env") if place == ".env" else place
    assert f"\n  ZENOVAY_API_KEY_FILE: the file {path} {fault} ({at}).\n" in said
    assert "ZENOVAY_API_KEY is missing" not in said
    assert "HUBSPOT_ACCESS_TOKEN is missing" in said


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if "not there" not in fault])
@pytest.mark.parametrize("variable", ["ZENOVAY_API_KEY", "SYNC_PING_URL"])
def test_a_mounted_file_that_is_no_secret_is_told_until_it_is_not_needed(
    fault: str, variable: str, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"HUBSPOT_ACCESS_TOKEN": TOKEN, "ZENOVAY_API_KEY": KEY, "SYNC_PING_URL": PING}
    for name in good.keys() - {variable}:
        monkeypatch.setenv(name, good[name])
    path = mounted / variable.lower()
    FAULTS[fault](path)

    assert complaint().startswith(f"A setting is wrong:\n  {variable}: the file {path} {fault}. ")

    monkeypatch.setenv(variable, good[variable])
    assert {KEY, TOKEN, PING} == set(load().secrets())


def test_a_secret_in_a_file_that_is_wrong_is_told_with_the_file(
    tmp_path: Path, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("two geheimnis words")
    (mounted / "ZENOVAY_API_KEY").write_text("pat-geheimnis")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN_FILE", "token")

    said = complaint()

    assert f"HUBSPOT_ACCESS_TOKEN must be one word of printable ASCII characters (file {tmp_path}/tok" in said
    assert f"HUBSPOT_ACCESS_TOKEN seem swapped (file {mounted / 'ZENOVAY_API_KEY'})." in said


@pytest.mark.parametrize("variable", ["environment", ".env"])
@pytest.mark.parametrize("pointer", ["environment", ".env"])
def test_a_variable_beside_the_one_that_names_its_file_is_refused(
    variable: str, pointer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"environment": "environment", ".env": str(tmp_path / ".env")}
    lines = []
    for name, text, place in (
        ("HUBSPOT_ACCESS_TOKEN", TOKEN, variable),
        ("HUBSPOT_ACCESS_TOKEN_FILE", "geheimnis", pointer),
    ):
        if place == "environment":
            monkeypatch.setenv(name, text)
        else:
            lines.append(f"{name}={text}\n")
    (tmp_path / ".env").write_text("".join(lines))

    assert (
        "HUBSPOT_ACCESS_TOKEN and HUBSPOT_ACCESS_TOKEN_FILE are both set; leave one of them out"
        f" ({places[variable]}; {places[pointer]})." in complaint()
    )


@pytest.mark.parametrize("case", [str.upper, str.lower])
@pytest.mark.parametrize("directory", ["credentials", "mounted"])
def test_what_is_mounted_is_found_by_the_variable_s_name(
    case: Callable[[str], str], directory: str, request: pytest.FixtureRequest
) -> None:
    found: Path = request.getfixturevalue(directory)
    (found / case("ZENOVAY_API_KEY")).write_text(KEY)
    (found / case("HUBSPOT_ACCESS_TOKEN")).write_text(f"{TOKEN}\n")
    (found / case("SYNC_LOOKBACK")).write_text("nonsense, and no secret")
    (found / "Sync_Ping_Url").write_text("in another case")

    settings = load()

    assert settings.secrets() == (KEY, TOKEN)


def test_the_credentials_of_systemd_come_before_what_is_mounted(
    credentials: Path, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", TOKEN)
    (credentials / "zenovay_api_key").write_text("zv_credential")
    (mounted / "ZENOVAY_API_KEY").write_text("zv_mounted")
    (mounted / "sync_ping_url").write_text(PING)

    settings = load()

    assert settings.zenovay.api_key.get_secret_value() == "zv_credential"
    assert settings.watch.ping_url


def test_a_link_as_kubernetes_makes_it_is_followed(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mounted / "..2026").mkdir()
    (mounted / "..2026" / "ZENOVAY_API_KEY").write_text(KEY)
    (mounted / "..data").symlink_to("..2026")
    (mounted / "ZENOVAY_API_KEY").symlink_to("..data/ZENOVAY_API_KEY")
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", TOKEN)

    assert load().zenovay.api_key.get_secret_value() == KEY


@pytest.mark.parametrize("place", ["environment", ".env"])
@pytest.mark.parametrize("name", ["ZENOVAY_API_KEY", "ZENOVAY_API_KEY_FILE"])
def test_what_is_set_anywhere_wins_over_what_is_mounted(
    name: str, place: str, tmp_path: Path, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mounted / "HUBSPOT_ACCESS_TOKEN").write_text(TOKEN)
    (mounted / "ZENOVAY_API_KEY").write_bytes(b"zv_mounted\xff")
    (tmp_path / "key").write_text("zv_set")
    text = "key" if name.endswith("_FILE") else "zv_set"
    if place == "environment":
        monkeypatch.setenv(name, text)
    else:
        (tmp_path / ".env").write_text(f"{name}={text}\n")

    assert load().zenovay.api_key.get_secret_value() == "zv_set"


def test_nothing_in_the_environment_keeps_a_mounted_file_away_and_nothing_in_the_file_does_not(
    tmp_path: Path, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("ZENOVAY_API_KEY=\nHUBSPOT_ACCESS_TOKEN=\nSYNC_PING_URL=\n")
    for name, text in (("zenovay_api_key", KEY), ("hubspot_access_token", TOKEN), ("sync_ping_url", PING)):
        (mounted / name).write_text(text)
    assert load().watch.ping_url

    monkeypatch.setenv("SYNC_PING_URL", "")

    assert load().watch.ping_url is None
    assert load_watch().ping_url is None


def test_the_environment_of_demo_and_sandbox_takes_nothing_that_is_mounted(
    mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SYNC_PING_URL", "SLACK_WEBHOOK_URL", "SYNC_NOTIFY", "SYNC_STATE_URL"):
        (mounted / name).write_text(PING)
    for name, text in defaults().items():
        monkeypatch.setenv(name, text)

    assert not load_watch().is_set
    assert load_sync().state_url is None


def test_where_a_missing_secret_was_looked_for_is_said(credentials: Path) -> None:
    assert f"a secret in a file (looked in {credentials}: visitor-sync help settings)" in complaint()


def test_a_directory_that_is_closed_to_us_is_no_error(tmp_path: Path, mounted: Path) -> None:
    (mounted / "sync_ping_url").write_text(PING)
    mounted.chmod(0)
    code = (
        f"from pathlib import Path\nfrom etl.settings import sources, load_watch, load_sync\n"
        f"sources.MOUNTED = Path({str(mounted)!r})\nload_sync()\nprint(load_watch().ping_url)"
    )
    ended = subprocess.run(
        [COMMAND.with_name("python"), "-c", code],
        preexec_fn=without_privileges,
        capture_output=True,
        text=True,
        check=True,
    )
    mounted.chmod(0o700)

    assert ended.stdout == "None\n"


def test_who_watches_is_told_even_if_another_secret_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ping").write_text(PING)
    monkeypatch.setenv("SYNC_PING_URL_FILE", "ping")
    monkeypatch.setenv("SLACK_WEBHOOK_URL_FILE", "nowhere")

    assert load_watch().ping_url


def test_a_state_whose_file_cannot_be_read_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_STATE_URL_FILE", "nowhere")

    assert load_places() is None


def start(program: Program, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command without the secrets that the sandbox hands over."""
    given = program.environment()
    for name in ("ZENOVAY_API_KEY", "HUBSPOT_ACCESS_TOKEN"):
        del given[name]
    return subprocess.run(
        [COMMAND, *arguments],
        env=given | settings,
        cwd=program.folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_run_under_systemd_needs_no_secret_in_its_environment(program: Program) -> None:
    program.sandbox.zenovay.api_key, program.sandbox.hubspot.access_token = KEY, TOKEN
    folder = program.folder / "credentials"
    folder.mkdir()
    (folder / "zenovay_api_key").write_text(KEY)
    (folder / "hubspot_access_token").write_text(f"{TOKEN}\n")
    program.visitors(row(1))

    ended = start(program, "run", "--now", "--log-level", "debug", CREDENTIALS_DIRECTORY=str(folder))

    assert (ended.returncode, ended.stdout) == (0, "")
    assert len(program.sandbox.hubspot.contacts) == 1
    assert "http_request" in ended.stderr
    assert "geheimnis" not in ended.stderr


def test_a_secret_of_a_file_that_the_other_side_echoes_is_not_printed(program: Program) -> None:
    program.sandbox.hubspot.access_token = TOKEN
    program.sandbox.zenovay.api_key = "zv_other"
    (program.folder / "key").write_text(KEY)
    (program.folder / "token").write_text(TOKEN)
    files = {"ZENOVAY_API_KEY_FILE": "key", "HUBSPOT_ACCESS_TOKEN_FILE": "token"}

    ended = start(program, "run", "--now", **files)
    checked = start(program, "check", "--json", **files)

    assert (ended.returncode, checked.returncode) == (5, 5)
    assert "geheimnis" not in ended.stdout + ended.stderr + checked.stdout + checked.stderr


HOLDS = {
    "a key": (f"ZENOVAY_API_KEY={KEY}\n", True),
    "a webhook": ("SLACK_WEBHOOK_URL=https://hooks.example/geheimnis\n", True),
    "a password": ("SYNC_STATE_URL=postgresql+psycopg://me:geheimnis@db.example/x\n", True),
    "a service": ("SYNC_NOTIFY=slack,ntfy://geheimnis\n", True),
    "a place": ("SYNC_STATE_URL=sqlite:////var/state.db\nSYNC_NOTIFY=slack\n", False),
    "the name of a file": ("ZENOVAY_API_KEY_FILE=key\nZENOVAY_API_KEY=\n", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("written", "secret"), HOLDS.values(), ids=HOLDS)
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o604, 0o644, 0o620])
def test_an_env_file_with_a_secret_that_is_open_to_others_is_told(
    written: str, mode: int, tmp_path: Path, *, secret: bool
) -> None:
    path = tmp_path / ".env"
    path.write_text(written)
    path.chmod(mode)

    said = exposed()

    if secret and mode & 0o077:
        assert said == f"{path} holds a secret, and is open to others (mode {mode:o}): chmod 600 {path}"
    else:
        assert said is None


def test_an_env_file_that_is_not_there_or_no_text_is_not_judged(tmp_path: Path) -> None:
    assert exposed() is None
    (tmp_path / ".env").write_bytes(b"ZENOVAY_API_KEY=\xff\n")
    assert exposed() is None


@pytest.mark.skipif(os.getuid() != 0, reason="NOT ROOT: a file of somebody else cannot be made")
def test_an_env_file_of_somebody_else_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"ZENOVAY_API_KEY={KEY}\n")
    os.chown(tmp_path / ".env", 12345, -1)

    assert exposed() is None
