"""``visitor-sync run --cron`` as cron calls it: what would be mailed, and when."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from program import COMMAND, OURS, python_that_waits, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from program import Program

DEAD = "http://127.0.0.1:9"
ONE_DAY = timedelta(days=1)
WITHOUT_WAITS = "from etl.retry import Patience\nPatience.backoff = lambda patience, attempt: 0.0\n"
"""As many attempts, one right after the other: a run that finds nobody there takes no 17 seconds."""


class Cron:
    """The line of ``schedule``, with a ``.env``, and with nothing else that a shell would bring."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.home = program.folder / "home"
        self.home.mkdir()
        self.place = program.folder / "100% of it's"
        self.command = self.place / ".venv" / "bin" / "visitor-sync"
        self.command.parent.mkdir(parents=True)
        self.command.symlink_to(COMMAND)
        self.settings = program.environment({"SYNC_MIN_INTERVAL": "0s"})
        self.configure()
        (line,) = re.findall(r"^\*/5 \* \* \* \* (.+)$", self.schedule(), flags=re.MULTILINE)
        self.line = line.replace("\\%", "%")

    @property
    def env(self) -> Path:
        return self.place / ".env"

    def configure(self, **settings: str) -> None:
        ours = {name: text for name, text in (self.settings | settings).items() if name.isupper()}
        lines = [f"{name}='{text}'" for name, text in ours.items() if name.startswith(OURS)]
        self.env.write_text("\n".join(lines))

    def schedule(self, *options: str) -> str:
        """What ``schedule`` prints, called by hand."""
        ours = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
        return subprocess.run(
            [self.command, "schedule", *options],
            cwd=self.place,
            env=ours,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    def run(self, exit_code: int) -> str:
        """What cron would mail of a run."""
        environment = {
            "HOME": str(self.home),
            "LOGNAME": "nobody",
            "PATH": "/usr/bin:/bin",
            "SHELL": "/bin/sh",
        }
        done = subprocess.run(
            ["/bin/sh", "-c", self.line],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == exit_code, done.stdout
        return done.stdout

    def runs(self, *exit_codes: int) -> list[str]:
        """The mails of these runs."""
        return [mail for code in exit_codes if (mail := self.run(code))]

    def at_the_start(self, code: str) -> None:
        """Have the runs execute ``code`` before anything else."""
        (self.home / "sitecustomize.py").write_text(code)
        path = f"PYTHONPATH={shlex.quote(str(self.home))}"
        self.line = self.line.replace("&& ", f"&& {path} ", 1)

    def a_day_passes(self) -> None:
        """For the memory, which then is a day older."""
        for path in (*self.program.folder.glob("sync-*.json"), *self.home.rglob("told-*.json")):
            path.write_text(re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]+", _a_day_before, path.read_text()))

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.program.folder / "sync.log").read_text().splitlines()]


def _a_day_before(found: re.Match[str]) -> str:
    return (datetime.fromisoformat(found[0]) - ONE_DAY).isoformat()


@pytest.fixture
def cron(program: Program) -> Cron:
    program.visitors(row(1))
    return Cron(program)


def test_a_new_state_and_good_runs_are_no_news(cron: Cron) -> None:
    assert cron.runs(0, 0, 0) == []

    assert [line["action"] for line in cron.log].count("run_finished") == 3
    log, memory = cron.program.folder / "sync.log", next(cron.program.folder.glob("sync-*.json"))
    assert {path.stat().st_mode & 0o777 for path in (log, memory)} == {0o600}


def test_a_revoked_key_is_one_mail_and_one_after_a_day_and_one_when_it_is_well(cron: Cron) -> None:
    cron.run(0)
    cron.configure(ZENOVAY_API_KEY="zv_revoked")
    (mail,) = cron.runs(*[5] * 4)

    first, *rest = mail.splitlines()
    assert first.startswith(f"visitor-sync, {cron.program.website}: ")
    assert "ZENOVAY_API_KEY" in first
    assert any(line.startswith("What to do: ") for line in rest)
    assert any(line.startswith("Since 20") for line in rest)
    assert f"Log: {cron.program.folder / 'sync.log'}" in rest
    assert "zv_revoked" not in mail

    cron.a_day_passes()
    assert len(cron.runs(5, 5)) == 1

    cron.configure()
    (well,) = cron.runs(0, 0)
    assert well.startswith("visitor-sync is well again")


def test_new_rejections_are_told_once(cron: Cron) -> None:
    cron.program.visitors({**row(2), "pageviews": -1})

    (mail,) = cron.runs(3, 0, 0)

    assert "newly rejected" in mail
    assert "visitor-sync rejections retry" in mail


def test_a_month_that_will_not_last_is_told_once(cron: Cron) -> None:
    zenovay = cron.program.sandbox.zenovay
    zenovay.requests_per_month, zenovay.month_used = 10_000, 9490
    zenovay.frozen_at = datetime(2026, 3, 20, 12, tzinfo=UTC)

    (mail,) = cron.runs(*[0] * 8)

    assert mail.count("will not last") == 1


@pytest.mark.parametrize("ever", [True, False], ids=["after a success", "from the beginning"])
def test_an_outage_is_told_once_it_outlasts_the_limit(cron: Cron, *, ever: bool) -> None:
    cron.at_the_start(WITHOUT_WAITS)
    if ever:
        cron.run(0)
    cron.configure(HUBSPOT_BASE_URL=DEAD)
    cron.program.visitors(row(2, minutes_ago=0))
    assert cron.runs(4) == []

    cron.configure(HUBSPOT_BASE_URL=DEAD, SYNC_STALE_AFTER="0s")
    (mail,) = cron.runs(4, 4)
    assert "Nothing was synced since 20" in mail

    cron.configure()
    (well,) = cron.runs(0, 0)
    assert well.startswith("visitor-sync is well again")


def test_the_lock_of_another_run_is_no_news_until_it_lasts(cron: Cron) -> None:
    cron.run(0)
    hold = (
        "import sys\nfrom etl.clock import SystemClock\nfrom etl.state.store import Store, open_state\n"
        f"with open_state('sqlite:///{cron.program.state_file}') as state:\n"
        "  with Store(state, clock=SystemClock()).locked():\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with python_that_waits(hold, said="held") as holder:
        assert cron.runs(75, 75) == []
        cron.configure(SYNC_STALE_AFTER="0s")
        (mail,) = cron.runs(75, 75)
        assert "holds the lock" in mail
        holder.communicate()
    assert len(cron.runs(0, 0)) == 1


@pytest.mark.parametrize("wrong", ["a value", "no text", "no state"])
def test_broken_settings_are_told_once_and_so_is_their_end(cron: Cron, wrong: str) -> None:
    cron.run(0)
    env = cron.env
    good = env.read_text()
    if wrong == "a value":
        cron.configure(SYNC_LOOKBACK="fortnight")
    elif wrong == "no text":
        env.write_text(good, encoding="utf-16")
    else:
        cron.configure(SYNC_STATE_URL="nonsense")

    (mail,) = cron.runs(2, 2, 2)
    assert "setting" in mail or str(env) in mail

    env.write_text(good)
    (well,) = cron.runs(0, 0)
    assert well.startswith("visitor-sync is well again")
    assert list(cron.home.rglob("told-*.json")) == []


def test_a_damaged_state_is_told_once(cron: Cron) -> None:
    cron.run(0)
    whole = cron.program.state_file.read_bytes()
    cron.program.state_file.write_bytes(b"Dear diary, this is no database.\n" * 100)

    (mail,) = cron.runs(7, 7, 7)
    assert str(cron.program.state_file) in mail.splitlines()[0]

    cron.program.state_file.write_bytes(whole)
    assert len(cron.runs(0, 0)) == 1


def test_one_mail_names_all_websites_in_trouble(cron: Cron) -> None:
    both = f"{cron.program.website},site-b"
    cron.program.sandbox.zenovay.websites["site-b"] = [row(5)]
    cron.configure(ZENOVAY_WEBSITE_ID=both)
    cron.run(0)
    cron.configure(ZENOVAY_WEBSITE_ID=both, ZENOVAY_API_KEY="zv_revoked")

    (mail,) = cron.runs(5, 5)

    assert mail.startswith(f"visitor-sync, {cron.program.website}, site-b: ")


def test_a_log_that_cannot_be_written_is_told_and_the_run_goes_on(cron: Cron) -> None:
    (cron.program.folder / "sync.log").mkdir()

    (mail,) = cron.runs(0, 0)

    assert f"The log {cron.program.folder / 'sync.log'} cannot be written: Is a directory" in mail
    assert len(cron.program.sandbox.hubspot.contacts) == 1


def test_rubbish_in_the_memory_is_no_trouble(cron: Cron) -> None:
    cron.run(0)
    next(cron.program.folder.glob("sync-*.json")).write_bytes(b"\xff\0{")

    assert cron.runs(0, 0) == []


def test_what_was_not_printed_counts_as_not_told(cron: Cron) -> None:
    cron.configure(ZENOVAY_API_KEY="zv_revoked")
    line, cron.line = cron.line, cron.line + " >/dev/full"
    cron.run(5)
    cron.line = line

    assert len(cron.runs(5, 5)) == 1


def test_warnings_of_python_stay_in_the_log(cron: Cron) -> None:
    cron.at_the_start(
        "import atexit, sys, threading, warnings\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Noise(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'etl.cli.wiring':\n"
        "            warnings.warn('take care')\n"
        "            thread = threading.Thread(target=lambda: 1 / 0)\n"
        "            thread.start()\n"
        "            thread.join()\n"
        "sys.meta_path.insert(0, Noise())\n"
    )

    assert cron.runs(0) == []

    text = (cron.program.folder / "sync.log").read_text()
    assert "take care" in text
    assert "ZeroDivisionError" in text


@pytest.mark.parametrize("option", ["--json", "--dry-run"])
def test_what_prints_does_not_go_with_it(program: Program, option: str) -> None:
    ended = program("run", "--cron", option)

    assert ended.exit_code == 2
    assert "--cron goes with none of --json, --dry-run and --every" in ended.error["what"]
    assert bool(ended.stdout) == (option == "--json")


def test_the_log_file_is_bounded_and_its_own_place_is_a_setting(program: Program) -> None:
    program.visitors(row(1))
    log = program.folder / "logs" / "mine.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * 1024 * 1024)

    by_hand = program("run", "--now", SYNC_LOG_FILE=str(log))
    quiet = program("run", "--now", "--cron", SYNC_LOG_FILE=str(log))

    assert (by_hand.exit_code, quiet.exit_code, quiet.stdout, quiet.stderr) == (0, 0, "", "")
    assert "run_finished" in by_hand.stderr
    assert log.read_text().count("run_finished") == 2
    assert (log.parent / "mine.log.1").stat().st_size == 1024 * 1024


def test_a_log_file_that_cannot_be_written_stops_no_run_by_hand(program: Program) -> None:
    program.visitors(row(1))

    ended = program("run", SYNC_LOG_FILE=str(program.folder))

    assert ended.exit_code == 0
    assert ended.stderr.count("log_file_failed") == 1


SENDMAIL = Path("/usr/sbin/sendmail")
STUB = '#!/bin/sh\ncat >"{folder}/mail.$$"\n'


@pytest.fixture
def daemon(cron: Cron) -> Iterator[Cron]:
    """A real cron that calls twice a minute; skips loudly where it may not be."""
    if not (os.environ.get("TEST_CRON") and os.geteuid() == 0 and shutil.which("cron")):
        pytest.skip(
            "NO CRON DAEMON: the installed line did not run under a real one (root, cron, TEST_CRON=1)"
        )
    if SENDMAIL.exists():
        pytest.skip("NO CRON DAEMON: a real sendmail is there, and would send the mails")
    none = subprocess.run(["crontab", "-l"], capture_output=True, check=False).returncode
    before = b"" if none else _crontab()
    SENDMAIL.write_text(STUB.format(folder=cron.program.folder))
    SENDMAIL.chmod(0o755)
    _set_crontab(OTHERS)
    cron.schedule("--install")
    _set_crontab(_twice_a_minute(_crontab()))
    process = subprocess.Popen(["cron", "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield cron
    finally:
        process.terminate()
        process.wait(10)
        with suppress(FileNotFoundError):
            SENDMAIL.unlink()
        if none:
            subprocess.run(["crontab", "-r"], check=True)
        else:
            _set_crontab(before)


OTHERS = b"# caf\xe9\r\nOURS=no\n\n0 5 1 1 *\ttrue % theirs\n"


def _crontab() -> bytes:
    """As an editor gets it: Debian's ``crontab -l`` spells out carriage returns."""
    shown = os.environ | {"VISUAL": "cat"}
    return subprocess.run(["crontab", "-e"], capture_output=True, check=True, env=shown).stdout


def _set_crontab(table: bytes) -> None:
    subprocess.run(["crontab", "-"], input=table, check=True)


def _twice_a_minute(table: bytes) -> bytes:
    """The installed line, which is left as it is but for its first columns."""
    return re.sub(rb"^\*/5( \* \* \* \* )(.+\n)", rb"*\1\2*\1sleep 10; \2", table, flags=re.MULTILINE)


@pytest.mark.slow
def test_a_real_cron_mails_a_trouble_once(daemon: Cron) -> None:
    """Two runs of the next full minute: a mail from the first, none from the second."""
    daemon.configure(ZENOVAY_API_KEY="zv_revoked")
    ends = datetime.now(UTC) + timedelta(seconds=90)
    while datetime.now(UTC) < ends and _failures(daemon) < 2:
        time.sleep(0.5)
    time.sleep(2)

    mails = [path.read_text() for path in daemon.program.folder.glob("mail.*")]

    assert _failures(daemon) == 2
    assert len(mails) == 1
    assert f"visitor-sync, {daemon.program.website}: " in mails[0]

    daemon.schedule("--remove")
    assert _crontab() == OTHERS


def _failures(cron: Cron) -> int:
    log = cron.program.folder / "sync.log"
    return log.read_text().count('"action":"run_finished"') if log.exists() else 0
