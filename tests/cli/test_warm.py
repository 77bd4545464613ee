"""A warm start of the command is what a cold one is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, Ended, row
from program import cold as started_cold
from situations import until
from warm import Warm, warm_for

if TYPE_CHECKING:
    from program import Program

SITUATION = """
import ctypes, gc, json, logging, os, signal, sys, threading
at_hand = ctypes.CDLL(None).getenv
at_hand.restype = ctypes.c_char_p
umask = os.umask(0)
print(json.dumps({
    "argv": sys.argv[1:], "directory": os.getcwd(), "path": sys.path, "umask": umask,
    "environment": {name: text for name, text in os.environ.items()},
    "of libraries": os.fsdecode(at_hand(b"SYNC_X")),
    "handlers": [str(signal.getsignal(each)) for each in sorted(signal.valid_signals())],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "files": [number for number in range(50) if os.path.exists(f"/proc/self/fd/{number}")],
    "threads": len(os.listdir("/proc/self/task")), "excepthook": threading.excepthook.__module__,
    "handled": [len(logging.getLogger(name).handlers) for name in ("", "etl")],
    "flags": str(sys.flags), "main": __name__, "encodings": [sys.stdout.encoding, sys.stderr.encoding],
    "stdin": sys.stdin.read(), "gc": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()],
    "group": os.getpgid(0), "session": os.getsid(0),
}))
"""
ENDS = {
    "by itself": ("import os, sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", 3),
    "at its last line": ("print('done')", 0),
    "at once": ("import os; os._exit(75)", 75),
    "by an error": ("1 / 0", 1),
    "by a signal": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "by an interrupt": ("import os, signal; os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
    "after much": ("import sys; sys.stdout.write('o' * 300_000); sys.stderr.write('e' * 300_000)", 0),
}
VARYING = re.compile(
    r"/\S+/(?:state\.db|\.env)|[0-9a-f]{32}|\d{4}-\d\d-\d\d[ T][\d:.]+|(?<=:)\d{4,5}\b|\d+\.\d+"
    r"|\d+ (?:s|sec|min|hr|days?)\b"
)


@pytest.fixture
def warm() -> Warm:
    if sys.platform != "linux":
        pytest.skip("NO LINUX: commands are started cold")
    warm = warm_for(os.environ)
    if warm is None:
        pytest.skip("TEST_COLD_START: commands are started cold")
    return warm


def cold(program: Program, *command: str, **settings: str) -> Ended:
    environment = program.environment(settings)
    return started_cold(*command, environment=environment, folder=program.folder, patience_s=60)


def warmed(warm: Warm, program: Program, *command: str, **settings: str) -> Ended:
    return Ended(*warm(command, environment=program.environment(settings), folder=program.folder))


def same(*ends: Ended) -> Ended:
    """What all of them were, but for times and identities."""
    first, *others = (
        Ended(each.exit_code, *(VARYING.sub("?", said) for said in (each.stdout, each.stderr)))
        for each in ends
    )
    assert others == [first] * len(others)
    return first


def test_a_process_finds_what_it_would_find(program: Program, warm: Warm) -> None:
    script = program.folder / "situation"
    script.write_text(SITUATION)
    odd = {"SYNC_X": "é\udcff\n", "HTTPS_PROXY": "http://p.test", "SSL_CERT_FILE": "/x"}

    found = warmed(warm, program, str(script), "a", "b c", **odd)

    assert found.exit_code == 0, found.stderr
    assert found.value == cold(program, sys.executable, str(script), "a", "b c", **odd).value


@pytest.mark.parametrize("how", ENDS)
def test_it_ends_as_it_would_end(program: Program, warm: Warm, how: str) -> None:
    code, exit_code = ENDS[how]
    script = program.folder / "script"
    script.write_text(code)

    ended, other = warmed(warm, program, str(script)), cold(program, sys.executable, str(script))

    assert ended.exit_code == other.exit_code == exit_code
    assert ended.stdout == other.stdout
    assert ended.stderr.splitlines()[-1:] == other.stderr.splitlines()[-1:]


def test_one_that_takes_too_long_is_killed(program: Program, warm: Warm) -> None:
    script = program.folder / "script"
    script.write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)")

    with pytest.raises(subprocess.TimeoutExpired):
        warm([str(script)], environment=os.environ, folder=program.folder, patience_s=0.5)

    process = Path("/proc", (program.folder / "pid").read_text())
    until(lambda: not process.exists())


def test_many_at_once_are_kept_apart(program: Program, warm: Warm) -> None:
    script = program.folder / "script"
    script.write_text(
        "import os, sys, time\ntime.sleep(0.2)\nprint(sys.argv[1], flush=True)\nos._exit(int(sys.argv[1]))"
    )

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda number: warmed(warm, program, str(script), str(number)), range(16)))

    assert [(each.exit_code, each.stdout) for each in ends] == [
        (number, f"{number}\n") for number in range(16)
    ]


COMMANDS: list[tuple[str, dict[str, str], int]] = [
    ("--help", {}, 0),
    ("run --help", {}, 0),
    ("help quota", {}, 0),
    ("run --no-such-option", {}, 2),
    ("run", {"SYNC_LOOKBACK": "fortnight", "ZENOVAY_API_KEY": "ZV_x"}, 2),
    ("run --now --json", {"SSL_CERT_FILE": "nowhere"}, 2),
    ("run --now --json", {"HTTP_PROXY": "ftp://x", "NO_PROXY": "", "no_proxy": ""}, 2),
    ("run --now --json", {"ZENOVAY_API_KEY": "zv_revoked"}, 5),
    ("run --json", {}, 0),
    ("status", {}, 0),
    ("status --json", {}, 0),
    ("rejections", {}, 0),
    ("run --now --cron", {"SYNC_STATE_URL": "nonsense", "SYNC_LOG_FILE": "a.log"}, 2),
]


def test_a_command_says_and_does_the_same(program: Program, another: Program, warm: Warm) -> None:
    rows = [row(1), {**row(2), "pageviews": -1}, row(3)]
    for each in (program, another):
        each.visitors(*rows)

    for line, settings, exit_code in [("run --now --json", {}, 3), *COMMANDS]:
        command = (str(COMMAND), *line.split())
        ended = same(warmed(warm, program, *command, **settings), cold(another, *command, **settings))
        assert ended.exit_code == exit_code, line

    assert program.sandbox.hubspot.snapshot() == another.sandbox.hubspot.snapshot()
    assert len(program.sandbox.hubspot.contacts) == 2


@pytest.mark.parametrize("variable", ["TZ", "LANG", "PYTHONHASHSEED", "LD_PRELOAD", "COLUMNS"])
def test_what_an_interpreter_reads_early_is_started_cold(variable: str, warm: Warm) -> None:
    given = dict(os.environ)
    assert warm.fits(given | {"SYNC_LOOKBACK": "1h", "ZENOVAY_API_KEY": "x"})
    assert not warm.fits(given | {variable: "other"})
    given.pop("PATH")
    assert not warm.fits(given)


def test_it_can_be_told_to_start_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_COLD_START", "1")
    assert warm_for(os.environ) is None


def test_it_ends_with_whoever_asks_it(program: Program) -> None:
    warm = Warm()
    script = program.folder / "script"
    script.write_text("print(1)")
    assert warm([str(script)], environment=os.environ, folder=program.folder) == (0, "1\n", "")
    warm.end()
    assert not warm.fits(os.environ)
