"""``visitor-sync schedule``: what it prints, and what it does to the crontab and the units of a user.

``crontab``, ``systemctl`` and ``loginctl`` are small scripts that keep their part of the machine in a
directory; a real cron runs what is installed in ``test_cron``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, Ended, row

from etl.cli.month import Schedule
from etl.cli.scheduling import crontab
from etl.cli.scheduling.cadence import EVEN, Cadence, afforded
from etl.cli.scheduling.job import Job
from etl.cli.scheduling.units import units
from etl.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from program import Program

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECRET, TOKEN = "zv_secret", "pat-token"
SETTINGS = {
    "ZENOVAY_API_KEY": SECRET,
    "ZENOVAY_WEBSITE_ID": "site-a",
    "HUBSPOT_ACCESS_TOKEN": TOKEN,
    "SYNC_STATE_URL": "sqlite:///state.db",
}
CRONTAB = r"""#!/bin/sh
PATH=/usr/bin:/bin
cd "{folder}" || exit 9
echo "$*" >>calls
case "$1" in
-l) if [ -e broken ]; then cat broken >&2; exit 1; fi
    if [ -e meanwhile ] && [ "$(wc -l <calls)" -eq 2 ]; then cat meanwhile >>table; fi
    if [ ! -e table ]; then echo "no crontab for somebody" >&2; exit 1; fi
    if [ -e spells ]; then sed 's/\r/\\r/g; s/\x08/\\b/g' table; else cat table; fi ;;
-e) if [ -e dumb ]; then exit 1; fi
    cat table ;;
-r) rm table ;;
-) if [ -e refused ]; then cat refused >&2; exit 1; fi
   if [ -e deaf ]; then cat >/dev/null; else cat >table; fi ;;
esac
"""
SYSTEMCTL = r"""#!/bin/sh
PATH=/usr/bin:/bin
cd "{folder}" || exit 9
echo "$*" >>systemctl
if [ -e fails ] && [ "$2" = "$(cat fails)" ]; then echo "Failed to connect to bus" >&2; exit 1; fi
"""
LOGINCTL = '#!/bin/sh\necho "Linger=$(/bin/cat "{folder}/linger")"\n'
OTHERS = [
    b"",
    b"# theirs\n0 5 * * * tar czf /b.tgz /home\n",
    b"MAILTO=me@example.test\r\n0 5 * * * backup\r\n",
    b"# caf\xe9\n\n\n0 5 * * * backup   \n\t\n",
    b"# BEGIN visitor-sync in /elsewhere\n*/5 * * * * half\n",
]
UNITS = ("visitor-sync.service", "visitor-sync.timer")


@dataclass
class Machine:
    """A user, an installation in ``folder``, and the commands of the system that are there."""

    home: Path
    folder: Path

    def __post_init__(self) -> None:
        self.tools.mkdir(parents=True, exist_ok=True)
        for name, text in (("crontab", CRONTAB), ("systemctl", SYSTEMCTL), ("loginctl", LOGINCTL)):
            (self.tools / name).write_text(text.format(folder=self.home))
            (self.tools / name).chmod(0o755)
        (self.home / "linger").write_text("no\n")
        self.configure()

    @property
    def tools(self) -> Path:
        return self.home / "tools"

    @property
    def units(self) -> Path:
        return self.home / ".config" / "systemd" / "user"

    def configure(self, **settings: str) -> None:
        self.folder.mkdir(exist_ok=True)
        lines = [f"{name}='{text}'\n" for name, text in (SETTINGS | settings).items() if text]
        (self.folder / ".env").write_text("".join(lines))

    def __call__(self, *arguments: str, **environment: str) -> Ended:
        usual = {"HOME": str(self.home), "PATH": str(self.tools), "LANG": "C.UTF-8"}
        path = {name: text for name, text in os.environ.items() if name == "PYTHONPATH"}
        done = subprocess.run(
            [COMMAND, "schedule", *arguments],
            cwd=self.folder,
            env=usual | path | environment,
            capture_output=True,
            check=False,
            timeout=100,
        )
        out, err = (text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr))
        assert SECRET not in out + err
        assert TOKEN not in out + err
        return Ended(done.returncode, out, err)

    @property
    def table(self) -> bytes | None:
        path = self.home / "table"
        return path.read_bytes() if path.exists() else None

    @table.setter
    def table(self, content: bytes) -> None:
        (self.home / "table").write_bytes(content)

    def calls(self, name: str) -> list[str]:
        path = self.home / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "home", tmp_path / "100% of it's")


@pytest.fixture
def plain(tmp_path: Path) -> Machine:
    """The same user's other installation."""
    return Machine(tmp_path / "home", tmp_path / "plain")


def of_the_shell(command: str) -> str:
    """What cron hands to the shell."""
    return command.replace("\\%", "%")


def test_it_prints_the_block_that_it_would_install(machine: Machine) -> None:
    printed, installed = machine(), machine("--install")

    assert (printed.exit_code, installed.exit_code) == (0, 0)
    assert printed.stdout.encode() == machine.table
    assert machine("cron").stdout == printed.stdout
    begin, why, settings, line, end = printed.stdout.splitlines()
    assert (begin, end) == (
        f"# BEGIN visitor-sync in {machine.folder}",
        f"# END visitor-sync in {machine.folder}",
    )
    assert why == (
        "# visitor-sync, every 5 minutes: 1 website takes 8928 requests a month, of 9500 that the plan leaves"
    )
    assert settings == f"# settings: {machine.folder}/.env"
    assert line.startswith("*/5 * * * * cd ")
    assert re.search(r"(?<!\\)%", line) is None
    assert line.endswith(f"&& {COMMAND} run --cron")


def test_the_shell_of_cron_finds_the_directory_and_the_program(machine: Machine) -> None:
    line = machine().stdout.splitlines()[3].removeprefix("*/5 * * * * ")
    command = of_the_shell(line).replace(f"{COMMAND} run --cron", "pwd")

    shown = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True).stdout

    assert shown == f"{machine.folder}\n"


def test_started_as_a_module_it_names_the_interpreter(machine: Machine) -> None:
    python = COMMAND.with_name("python")
    done = subprocess.run(
        [python, "-m", "etl", "schedule"], cwd=machine.folder, capture_output=True, text=True, check=True
    )

    assert f"&& {python} -m etl run --cron\n" in done.stdout


@pytest.mark.parametrize("others", OTHERS)
def test_the_lines_of_others_stay_byte_for_byte(machine: Machine, others: bytes) -> None:
    machine.table = others
    block = machine().stdout.encode()

    assert machine("--install").exit_code == 0
    assert machine.table == others + block
    machine.table = others + block + others
    machine.configure(ZENOVAY_REQUESTS_PER_MONTH="2000")
    changed = machine().stdout.encode()
    assert changed != block
    assert machine("--install").exit_code == 0
    assert machine.table == others + changed + others

    removed = machine("--remove")
    assert removed.exit_code == 0
    assert (machine.table or b"") == others + others


def test_a_last_line_without_an_end_gets_one(machine: Machine) -> None:
    machine.table = b"0 5 * * * backup"
    block = machine().stdout.encode()

    machine("--install")

    assert machine.table == b"0 5 * * * backup\n" + block


@pytest.mark.parametrize("others", [*OTHERS, b'0 5 * * * printf "a\\r\\n"\r\n', b"# \b\n"])
@pytest.mark.parametrize("spells", [True, False])
def test_what_a_listing_spells_out_stays_as_it_is(machine: Machine, others: bytes, *, spells: bool) -> None:
    if spells:
        (machine.home / "spells").touch()
    machine.table = others

    assert machine("--install").exit_code == 0
    assert machine.table == others + machine().stdout.encode()
    assert machine("--remove").exit_code == 0
    assert (machine.table or b"") == others


def test_a_listing_that_may_be_spelt_out_is_not_written_back(machine: Machine) -> None:
    machine.table = before = b"0 5 * * * backup\r\n"
    (machine.home / "spells").touch()
    (machine.home / "dumb").touch()

    ended = machine("--install")

    assert (ended.exit_code, machine.table) == (2, before)
    assert "crontab -e" in ended.stderr


def test_installed_twice_it_is_there_once_and_nothing_is_written(machine: Machine) -> None:
    machine("--install")
    before = len(machine.calls("calls"))

    again = machine("--install")

    assert (again.exit_code, machine.calls("calls")[before:]) == (0, ["-l"])
    assert "installed already" in again.stdout


def test_a_user_without_a_crontab_has_none_again(machine: Machine) -> None:
    assert machine.table is None
    machine("--install")
    assert machine.table

    assert machine("--remove").exit_code == 0

    assert machine.table is None


def test_two_installations_do_not_touch_each_other(machine: Machine, plain: Machine) -> None:
    machine("--install")
    plain("--install")
    assert plain.table == machine().stdout.encode() + plain().stdout.encode()

    machine("--remove")

    assert plain.table == plain().stdout.encode()


def test_what_is_not_installed_is_not_removed(machine: Machine, plain: Machine) -> None:
    plain("--install")
    before = machine.table

    ended = machine("--remove")

    assert (ended.exit_code, machine.table) == (0, before)
    assert "nothing was installed" in ended.stdout
    assert "-r" not in machine.calls("calls")


def test_a_table_that_changes_meanwhile_is_left_alone(machine: Machine) -> None:
    machine.table = b"0 5 * * * backup\n"
    (machine.home / "meanwhile").write_text("0 6 * * * theirs\n")

    ended = machine("--install")

    assert ended.exit_code == 4
    assert "changed meanwhile" in ended.stderr
    assert machine.table == b"0 5 * * * backup\n0 6 * * * theirs\n"


@pytest.mark.parametrize("option", ["--install", "--remove"])
@pytest.mark.parametrize("left", ["begin", "end", "two begins"])
def test_half_a_block_is_refused_by_its_line(machine: Machine, left: str, option: str) -> None:
    begin, *_, end = machine().stdout.splitlines(keepends=True)
    half = {"begin": begin, "end": end, "two begins": begin + begin + end}[left]
    machine.table = before = b"0 5 * * * backup\n" + half.encode() + b"0 6 * * * theirs\n"

    ended = machine(option)

    assert (ended.exit_code, machine.table) == (2, before)
    assert "Line 2 of the crontab" in ended.stderr


@pytest.mark.parametrize("option", ["--install", "--remove"])
def test_a_line_of_others_between_our_markers_is_not_taken_away(machine: Machine, option: str) -> None:
    *ours, end = machine().stdout.encode().splitlines(keepends=True)
    machine.table = before = b"".join((*ours, b"0 6 * * * theirs\n", end))

    ended = machine(option)

    assert (ended.exit_code, machine.table) == (2, before)
    assert "Line 5 of the crontab" in ended.stderr


def test_an_interval_that_was_edited_by_hand_is_replaced(machine: Machine) -> None:
    block = machine().stdout.encode()
    machine.table = block.replace(b"*/5 ", b"*/7 ")

    machine("--install")

    assert machine.table == block


@pytest.mark.parametrize("complaint", ["You are not allowed to use this program\n", "Permission denied\n"])
def test_a_table_that_cannot_be_read_is_not_taken_for_an_empty_one(machine: Machine, complaint: str) -> None:
    machine.table = b"0 5 * * * backup\n"
    (machine.home / "broken").write_text(complaint)

    ended = machine("--install")

    assert (ended.exit_code, machine.table) == (2, b"0 5 * * * backup\n")
    assert complaint.strip() in ended.stderr


def test_what_crontab_refuses_is_told(machine: Machine) -> None:
    (machine.home / "refused").write_text('"-":3: bad minute\n')

    ended = machine("--install")

    assert ended.exit_code == 2
    assert "bad minute" in ended.stderr


def test_a_table_that_is_not_what_was_written_is_told(machine: Machine) -> None:
    (machine.home / "deaf").touch()

    assert machine("--install").exit_code == 4


def test_without_crontab_it_says_what_to_install(machine: Machine) -> None:
    (machine.tools / "crontab").unlink()

    assert machine().exit_code == 0
    ended = machine("--install")
    assert ended.exit_code == 2
    assert "Install cron" in ended.stderr
    assert "systemd" in ended.stderr


@pytest.mark.parametrize("kind", ["cron", "systemd"])
def test_what_only_the_environment_has_is_a_warning_and_no_install(machine: Machine, kind: str) -> None:
    machine.configure(ZENOVAY_API_KEY="")
    environment = {"ZENOVAY_API_KEY": SECRET, "SYNC_STATE_URL": "sqlite:////elsewhere.db"}

    printed = machine(kind, **environment)
    ended = machine(kind, "--install", **environment)

    for each in (printed, ended):
        assert "SYNC_STATE_URL, ZENOVAY_API_KEY are set in this environment" in each.stderr
        assert f"{machine.folder}/.env" in each.stderr
        assert "elsewhere" not in each.stderr
    assert (printed.exit_code, ended.exit_code) == (0, 2)
    assert machine.table is None
    assert not machine.units.exists()


def test_a_variable_that_is_no_setting_needs_no_place_in_the_file(machine: Machine) -> None:
    ended = machine("--install", SYNC_SERVICE_HOST="10.0.0.7")

    assert ended.exit_code == 0
    assert "unknown_setting" in ended.stderr


def test_a_secret_s_file_that_only_the_environment_names_is_no_install(machine: Machine) -> None:
    machine.configure(ZENOVAY_API_KEY="")
    (machine.home / "key").write_text(SECRET)
    webhook = machine.home / "webhook"
    webhook.write_text("https://hooks.slack.example/services/T")
    named = {"ZENOVAY_API_KEY_FILE": str(machine.home / "key"), "SLACK_WEBHOOK_URL_FILE": str(webhook)}

    ended = machine("--install", **named)

    assert (ended.exit_code, machine.table) == (2, None)
    assert "SLACK_WEBHOOK_URL_FILE, ZENOVAY_API_KEY_FILE are set in this environment" in ended.stderr


@pytest.mark.parametrize("name", ["shop.env", "a b%.env"])
def test_what_was_given_to_schedule_is_given_to_each_run(machine: Machine, name: str) -> None:
    machine.configure()
    (machine.folder / ".env").rename(machine.folder / name)
    given = ("--env-file", name, "--log-level", "debug")

    assert machine("--install").exit_code == 2  # there is no .env
    assert machine("--install", *given).exit_code == 0

    table = (machine.table or b"").decode()
    (line,) = [each for each in table.splitlines() if each.startswith("*/")]
    command = line.replace("\\%", "%").partition(" && ")[2]
    path = str(machine.folder / name)
    assert shlex.split(command)[1:] == ["--env-file", path, "--log-level", "debug", "run", "--cron"]
    assert f"# settings: {path}" in table.splitlines()


def test_several_files_of_settings_in_one_directory_have_a_schedule_each(machine: Machine) -> None:
    for name in ("a.env", "b.env"):
        shutil.copy(machine.folder / ".env", machine.folder / name)
        assert machine("--install", "--env-file", name).exit_code == 0
    assert machine("--install").exit_code == 0
    assert machine("systemd", "--install", "--env-file", "a.env").exit_code == 0
    assert machine("systemd", "--install", "--env-file", "b.env").exit_code == 2

    def scheduled() -> list[str]:
        lines = (machine.table or b"").decode().splitlines()
        return ["/".join(re.findall(r"/([ab]\.env)'? run", each)) for each in lines if each.startswith("*/")]

    assert scheduled() == ["a.env", "b.env", ""]
    assert machine("--remove", "--env-file", "b.env").exit_code == 0
    assert scheduled() == ["a.env", ""]
    assert machine("--install", "--env-file", str(machine.folder / "a.env")).exit_code == 0
    assert scheduled() == ["a.env", ""]
    assert machine("systemd", "--remove").exit_code == 2
    assert machine("systemd", "--remove", "--env-file", "a.env").exit_code == 0


def test_a_webhook_that_only_the_environment_has_is_no_install(machine: Machine) -> None:
    """Its prefix is not one of ours: it is known by its name."""
    webhook = {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/elsewhere", "SLACK_TEAM": "other"}
    with (machine.folder / ".env").open("a") as file:
        file.write("SYNC_NOTIFY=slack\n")

    ended = machine("--install", **webhook)

    assert ended.exit_code == 2
    assert "SLACK_WEBHOOK_URL is set in this environment" in ended.stderr
    assert "elsewhere" not in ended.stderr
    assert machine.table is None


def test_what_env_says_just_so_is_not_lost(machine: Machine) -> None:
    assert machine("--install", **SETTINGS, SYNC_FIELDS="").exit_code == 0


def test_what_env_takes_from_the_environment_is_lost(machine: Machine) -> None:
    with (machine.folder / ".env").open("a") as file:
        file.write("ZENOVAY_BASE_URL=https://${ZENOVAY_HOST_NAME}\n".replace("ZENOVAY_HOST_NAME", "MY_HOST"))

    ended = machine("--install", MY_HOST="zenovay.example.test")

    assert ended.exit_code == 2
    assert "MY_HOST is set in this environment" in ended.stderr


@pytest.mark.parametrize("variable", ["HOME", "XDG_STATE_HOME"])
def test_a_state_that_cron_would_not_find_is_no_install(machine: Machine, variable: str) -> None:
    machine.configure(SYNC_STATE_URL="")

    ended = machine("--install", **{variable: str(machine.home)})

    assert (ended.exit_code, machine.table) == (2, None)
    assert "write SYNC_STATE_URL for that" in ended.stderr


def test_without_settings_it_prints_and_says_so_but_does_not_install(machine: Machine) -> None:
    (machine.folder / ".env").unlink()
    before = machine.table

    printed, ended = machine(), machine("--install")

    assert (printed.exit_code, ended.exit_code, machine.table) == (0, 2, before)
    assert "*/5 * * * * cd " in printed.stdout
    assert "ZENOVAY_API_KEY is missing" in printed.stderr


def test_a_proxy_that_only_the_environment_names_is_told(machine: Machine) -> None:
    ended = machine("--install", https_proxy="http://user:word@proxy.example.test:3128")

    assert ended.exit_code == 0
    assert "HTTPS_PROXY" in ended.stderr
    assert "word@" not in ended.stderr


@pytest.mark.parametrize("name", ["two\nlines", "back\\slash", "end ", "bell\a"])
def test_a_path_that_no_schedule_can_state_is_refused(tmp_path: Path, name: str) -> None:
    machine = Machine(tmp_path / "home", tmp_path / name)

    for kind in ("cron", "systemd"):
        ended = machine(kind)
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert "The path " in ended.stderr


def test_install_and_remove_do_not_go_together(machine: Machine) -> None:
    assert machine("--install", "--remove").exit_code == 2


def test_two_websites_of_the_pro_plan_run_every_ten_minutes(machine: Machine) -> None:
    machine.configure(ZENOVAY_WEBSITE_ID="site-a,site-b")

    assert (
        "every 10 minutes: 2 websites take 8928 requests a month, of 9500 that the plan leaves\n"
        in machine().stdout
    )


def test_a_plan_for_less_than_a_run_a_day_is_an_error(machine: Machine) -> None:
    machine.configure(ZENOVAY_REQUESTS_PER_MONTH="30")

    ended = machine("--install")

    assert (ended.exit_code, machine.table) == (2, None)
    assert "do not suffice for a run a day of 1 website" in ended.stderr


def test_a_state_that_cannot_be_read_stops_nothing(machine: Machine) -> None:
    (machine.folder / "state.db").write_bytes(b"Dear diary, this is no database.\n" * 100)

    ended = machine("--install")

    assert ended.exit_code == 0
    assert "What runs cost so far is not known." in ended.stderr
    assert b"\n*/5 * * * * cd " in (machine.table or b"")


def test_what_the_runs_cost_and_zenovay_says_of_the_plan_decides(program: Program) -> None:
    program.sandbox.zenovay.requests_per_month = 2000
    program.visitors(row(1))
    before = program("schedule")
    for _ in range(4):
        program.run()

    after = program("schedule")

    assert "every 5 minutes" in before.stdout
    assert "by what the last runs cost, of 1900 that the plan leaves" in after.stdout
    assert "\n*/30 * * * * cd " in after.stdout


@pytest.mark.parametrize(
    ("usual", "beyond", "allowed", "interval"),
    [
        (1, 0, 9500, 5 * MINUTE),
        (1, 0, 8928, 5 * MINUTE),
        (1, 0, 8927, 6 * MINUTE),
        (4, 0, 9500, 20 * MINUTE),
        (1, 0, 10**9, 5 * MINUTE),
        (1, 20, 9500, 6 * MINUTE),
        (30, 0, 9500, 3 * HOUR),
        (1, 0, 31, DAY),
        (1, 0, 30, None),
        (1, 40, 950, None),
    ],
)
def test_the_interval_is_the_shortest_even_one_that_a_long_month_affords(
    usual: float, beyond: float, allowed: int, interval: timedelta | None
) -> None:
    cost = Schedule(MINUTE, usual, beyond)
    if interval is None:
        with pytest.raises(SettingsError):
            afforded([cost], allowed=allowed)
        return

    found = afforded([cost], allowed=allowed)

    assert found.interval == interval
    assert (usual * (DAY / interval) + beyond) * 31 <= allowed
    shorter = [each for each in EVEN if each < interval]
    assert all((usual * (DAY / each) + beyond) * 31 > allowed for each in shorter)


def test_an_interval_within_which_runs_do_nothing_is_too_short() -> None:
    assert afforded([None], allowed=9500, least=50 * MINUTE).interval == HOUR
    assert afforded([None], allowed=9500, least=7 * DAY).interval == DAY


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NO SYSTEMD: no calendar was verified")
@pytest.mark.parametrize("interval", EVEN)
def test_cron_and_systemd_mean_the_same_instants(interval: timedelta) -> None:
    cadence = Cadence(interval, "")
    minute, hour, *rest = cadence.cron.split()
    assert rest == ["*", "*", "*"]
    expected = {
        (h, m)
        for h in range(24)
        for m in range(60)
        if all(
            field in {"*", str(at)} or (field.startswith("*/") and at % int(field[2:]) == 0)
            for field, at in ((hour, h), (minute, m))
        )
    }

    shown = subprocess.run(
        ["systemd-analyze", "calendar", f"--iterations={DAY // interval}", cadence.calendar],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    found = re.findall(
        r"(?:Next elapse|Iter\. #\d+|iteration #\d+): \S+ \S+ (\d\d):(\d\d):00", shown, re.IGNORECASE
    )
    assert len(found) == len(expected) == DAY // interval
    assert {(int(h), int(m)) for h, m in found} == expected


def verified(*paths: Path) -> list[str]:
    """What ``systemd-analyze verify`` says of our units."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", *paths],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"XDG_RUNTIME_DIR": str(paths[0].parent)},
    )
    return [line for line in done.stderr.splitlines() if "visitor-sync" in line]


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NO SYSTEMD: the units were not verified"
)


@needs_systemd
def test_systemd_accepts_the_units_that_are_installed(machine: Machine) -> None:
    assert machine("systemd", "--install").exit_code == 0

    paths = [machine.units / name for name in UNITS]
    assert verified(*paths) == []
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    service, timer = (path.read_text() for path in paths)
    assert f"\nWorkingDirectory={machine.folder}\n".replace("%", "%%") in service
    assert "\nSuccessExitStatus=4 75\n" in service
    assert "\nEnvironmentFile" not in service
    assert "\nOnCalendar=*:0/5\n" in timer
    assert "\nPersistent=true\n" in timer


@needs_systemd
@pytest.mark.parametrize(
    "name",
    ["plain", "a b", "100%", "%h", "$HOME", "${x}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "a;b"],
)
def test_systemd_finds_programs_in_paths_of_all_kinds(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    program = folder / "visitor-sync"
    paths = [tmp_path / each for each in UNITS]

    def written() -> None:
        job = Job((str(program),), str(folder), str(folder / "shop.env"))
        for path, text in zip(paths, units(job, Cadence(HOUR, "")).values(), strict=True):
            path.write_text(text)

    written()
    assert any("not executable" in line for line in verified(*paths))

    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert verified(*paths) == []


def test_the_units_are_printed_as_two_files(machine: Machine) -> None:
    printed = machine("systemd")
    machine("systemd", "--install")

    _, *parts = re.split(r"^# File (\S+):\n", printed.stdout, flags=re.MULTILINE)
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(texts) == [str(machine.units / name) for name in UNITS]
    for name in UNITS:
        assert texts[str(machine.units / name)].strip() == (machine.units / name).read_text().strip()


def test_the_timer_is_started_and_stopped(machine: Machine) -> None:
    installed = machine("systemd", "--install")
    again = machine("systemd", "--install")
    removed = machine("systemd", "--remove")

    assert [each.exit_code for each in (installed, again, removed)] == [0, 0, 0]
    start = ["--user daemon-reload", "--user enable --now visitor-sync.timer"]
    stop = ["--user disable --now visitor-sync.timer", "--user daemon-reload"]
    assert machine.calls("systemctl") == [*start, *start, *stop]
    assert list(machine.units.iterdir()) == []
    assert "nothing was installed" in machine("systemd", "--remove").stdout


@pytest.mark.parametrize(("linger", "hinted"), [("no", True), ("yes", False)])
def test_a_timer_that_stops_at_logout_is_told(machine: Machine, linger: str, *, hinted: bool) -> None:
    (machine.home / "linger").write_text(linger)

    assert ("loginctl enable-linger" in machine("systemd", "--install").stderr) is hinted
    assert ("loginctl enable-linger" in machine("systemd").stderr) is hinted


@pytest.mark.parametrize("step", ["daemon-reload", "enable"])
def test_what_systemd_does_not_take_leaves_nothing_behind(machine: Machine, step: str) -> None:
    (machine.home / "fails").write_text(step)

    ended = machine("systemd", "--install")

    assert ended.exit_code == 2
    assert "Failed to connect to bus" in ended.stderr
    assert "schedule cron" in ended.stderr
    assert list(machine.units.iterdir()) == []


def test_what_systemd_does_not_take_leaves_what_was_there(machine: Machine) -> None:
    machine("systemd", "--install")
    before = [(machine.units / name).read_bytes() for name in UNITS]
    machine.configure(ZENOVAY_REQUESTS_PER_MONTH="2000")
    (machine.home / "fails").write_text("enable")

    assert machine("systemd", "--install").exit_code == 2

    assert [(machine.units / name).read_bytes() for name in UNITS] == before


def test_a_timer_that_cannot_be_stopped_is_not_deleted(machine: Machine) -> None:
    machine("systemd", "--install")
    (machine.home / "fails").write_text("disable")

    assert machine("systemd", "--remove").exit_code == 2

    assert {path.name for path in machine.units.iterdir()} == {*UNITS}


def test_without_systemd_nothing_is_written(machine: Machine) -> None:
    (machine.tools / "systemctl").unlink()

    ended = machine("systemd", "--install")

    assert ended.exit_code == 2
    assert "schedule cron" in ended.stderr
    assert not machine.units.exists()


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("option", ["--install", "--remove"])
@pytest.mark.parametrize("how", ["a file", "masked"])
def test_a_unit_of_somebody_else_is_left_alone(machine: Machine, name: str, option: str, how: str) -> None:
    machine.units.mkdir(parents=True)
    theirs = machine.units / name
    if how == "masked":
        theirs.symlink_to(os.devnull)
    else:
        theirs.write_text("[Unit]\n")

    ended = machine("systemd", option)

    assert ended.exit_code == 2
    assert str(theirs) in ended.stderr
    assert list(machine.units.iterdir()) == [theirs]
    assert theirs.is_symlink() is (how == "masked")
    assert machine.calls("systemctl") == []


@pytest.mark.parametrize("option", ["--install", "--remove"])
def test_a_unit_of_another_installation_is_left_alone(machine: Machine, plain: Machine, option: str) -> None:
    machine("systemd", "--install")
    before = [(machine.units / name).read_bytes() for name in UNITS]

    ended = plain("systemd", option)

    assert ended.exit_code == 2
    assert str(machine.folder) in ended.stderr
    assert [(machine.units / name).read_bytes() for name in UNITS] == before


def test_bytes_that_are_no_text_stand_in_the_crontab_as_they_are() -> None:
    job = Job(("/opt/caf\udce9/visitor-sync",), "/opt/caf\udce9")

    block = crontab.block(job, Cadence(HOUR, "why"))

    assert b"\n0 * * * * cd '/opt/caf\xe9' && '/opt/caf\xe9/visitor-sync' run --cron\n" in block
    assert crontab.without_block(b"x\n" + block, job.folder) == b"x\n"


@pytest.mark.parametrize("folder", ["/opt/caf\udce9", "/opt/it's", '/opt/5"'])
def test_programs_that_systemd_would_not_find_are_refused(folder: str) -> None:
    with pytest.raises(SettingsError, match="systemd takes no"):
        units(Job((f"{folder}/visitor-sync",), "/opt"), Cadence(HOUR, "why"))


def test_a_file_of_settings_that_systemd_could_not_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="systemd takes no"):
        units(Job(("/opt/visitor-sync",), "/opt", "/opt/caf\udce9.env"), Cadence(HOUR, "why"))


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/opt/it's 1%.env", '"/opt/it\'s 1%%.env"'),
        ('/opt/5".env', '"/opt/5\\".env"'),
        ("/o/a$b", '"/o/a$b"'),
    ],
)
def test_systemd_is_given_files_of_settings_in_its_own_words(path: str, word: str) -> None:
    service = units(Job(("/opt/visitor-sync",), "/opt", path), Cadence(HOUR, "why"))["visitor-sync.service"]

    program = '":/opt/visitor-sync"' if "$" in path else "/opt/visitor-sync"
    assert f"ExecStart={program} --env-file {word} run --cron\n" in service


def test_what_can_be_no_name_of_a_portal_is_written_into_no_schedule(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="name of a portal must begin with") as raised:
        Job(("/opt/visitor-sync",), str(tmp_path), portal="pat-geheimnis")
    assert "geheimnis" not in str(raised.value)
