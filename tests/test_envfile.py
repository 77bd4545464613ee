"""A ``.env`` that cannot be read is named, with what is wrong, and nothing of its content."""

from __future__ import annotations

import ctypes
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from dotenv import dotenv_values
from program import COMMAND

from etl import envfile
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "zv_geheimnis"
GOOD = f"ZENOVAY_API_KEY={SECRET}\nZENOVAY_WEBSITE_ID=w-1\nHUBSPOT_ACCESS_TOKEN=pat-secret\n"
TEXTS: dict[str, tuple[bytes, str]] = {
    "UTF-16": (GOOD.encode("utf-16"), "it is written in UTF-16"),
    "UTF-16 without its mark": (GOOD.encode("utf-16-le"), "it is written in UTF-16"),
    "UTF-32": (GOOD.encode("utf-32"), "it is written in UTF-16 or UTF-32"),
    "one Latin-1 byte": (GOOD.encode() + b"# gr\xfc\xdfe\n", "line 4 holds a byte that is not UTF-8"),
    "a NUL": (GOOD.encode() + b"\n\nSYNC_ANONYMOUS=sk\0ip\n", "line 6 holds a NUL byte"),
    "an open quote": (GOOD.encode() + b"SYNC_ANONYMOUS='skip\n", "line 4 is no NAME=value"),
    "a sentence": (b"HUBSPOT_ACCESS_TOKEN " + SECRET.encode() + b"\n", "line 1 is no NAME=value"),
}
COMMANDS = [
    ["run"],
    ["run", "--cron"],
    ["run", "--dry-run", "--json"],
    ["backfill", "--from", "2026-01-01"],
    ["check", "--json"],
    ["setup"],
    ["status"],
    ["rejections"],
    ["rejections", "retry"],
    ["resync", "--yes"],
]


def command(
    folder: Path,
    *arguments: str,
    variables: dict[str, str] | None = None,
    restrict: Callable[[], None] | None = None,
) -> str:
    """What is said of settings that must be refused."""
    done = subprocess.run(
        [COMMAND, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder / "home"), **(variables or {})},
        cwd=folder,
        preexec_fn=restrict,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert "geheimnis" not in said
    return said


@pytest.mark.parametrize(("written", "fault"), TEXTS.values(), ids=TEXTS)
def test_a_file_that_is_no_text_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bytes, fault: str
) -> None:
    (tmp_path / ".env").write_bytes(written)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError) as caught:
        envfile.read(".env")

    assert f"{tmp_path / '.env'}: {fault}" in str(caught.value)
    assert "geheimnis" not in str(caught.value)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_says_so(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / ".env").write_bytes(TEXTS["one Latin-1 byte"][0])

    assert f"{tmp_path / '.env'}: line 4 holds a byte that is not UTF-8." in command(tmp_path, *arguments)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.mkdir()
    assert f"{env} cannot be read: Is a directory." in command(tmp_path, "run")
    env.rmdir()
    env.symlink_to("nowhere")
    assert f"{env} is a link to a file that is not there." in command(tmp_path, "run")
    env.unlink()
    env.symlink_to(".env")
    assert f"{env} cannot be read: Too many levels of symbolic links." in command(tmp_path, "run")
    env.unlink()
    os.mkfifo(env)
    assert f"{env} is a pipe" in command(tmp_path, "run")


def without_privileges() -> None:
    """Obey the permission bits, even as root: no capability survives the next exec."""
    libc = ctypes.CDLL(None)
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(GOOD)
    (tmp_path / ".env").chmod(0)

    said = command(tmp_path, "run", restrict=without_privileges)

    assert f"{tmp_path / '.env'} cannot be read: Permission denied." in said


def test_where_it_was_looked_for_is_said(tmp_path: Path) -> None:
    assert f"looked for at {tmp_path / '.env'}: not there" in command(tmp_path, "run")

    (tmp_path / ".env").write_text("SYNC_ANONYMOUS=skip\n")
    said = command(tmp_path, "run")
    assert str(tmp_path / ".env") in said
    assert "not there" not in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A=1\nA=2\nexport B='x # y'\n# C=3\nD\nE=\n",
        "A=1\nB=${A}${HOME}${NOBODY:-2}\nC='${A}'\n",
        'A="two\nlines"\nB=a=b # c\n\n  C = spaced  \n',
    ],
)
def test_a_file_is_read_as_its_library_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / ".env").write_text(text)
    monkeypatch.chdir(tmp_path)

    assert envfile.read(".env") == dotenv_values(".env")


def test_a_mark_before_the_text_is_no_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ZENOVAY_WEBSITE_ID=w-1\n", encoding="utf-8-sig")

    assert "ZENOVAY_WEBSITE_ID is missing" not in command(tmp_path, "run")


@pytest.mark.parametrize("arguments", [["run"], ["check", "--json"], ["status"]], ids=" ".join)
def test_a_variable_of_bytes_that_are_no_text_is_named(tmp_path: Path, arguments: list[str]) -> None:
    place = os.fsdecode(b"sqlite:////tmp/geheimnis\xff.db")
    said = command(tmp_path, *arguments, variables={"SYNC_STATE_URL": place})
    assert said.count("SYNC_STATE_URL holds bytes that are not UTF-8 (environment).") == 1

    unknown = {os.fsdecode(b"SYNC_\xff"): "1", "SYNC_LOOKBACK": "x"}
    said = command(tmp_path, *arguments, variables=unknown)
    assert "SYNC_\\" in said
    assert "is not a setting of this program" in said
