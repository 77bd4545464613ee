"""``visitor-sync live``: codes or none, one failing among others, and watching."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock
from program import COMMAND, row
from storm import FOREVER, Fault

from etl.cli.live import REFRESH_S, keep_showing
from etl.errors import (
    AccessRefusedError,
    ContractBrokenError,
    InterruptedRunError,
    SettingsError,
    SyncError,
    UnavailableError,
)
from etl.extract.live import LiveCount
from etl.retry import TransientError

if TYPE_CHECKING:
    from pathlib import Path

    from program import Program

CODE = "ZV_SANDBOX"
SHOP = "ZV_SHOP"
LIVE = f"/e/live/{CODE}"


def asked(program: Program) -> list[str]:
    return [request.path for request in program.sandbox.zenovay.requests]


def bare(program: Program, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Where nothing is set but where Zenovay is."""
    ours = ("ZENOVAY_", "HUBSPOT_", "SYNC_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [COMMAND, "live", *arguments],
        env={**inherited, "ZENOVAY_BASE_URL": program.sandbox.zenovay_url, **settings},
        cwd=program.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_given_codes_need_no_other_setting(program: Program) -> None:
    program.visitors(row(1), row(2), row(3), row(4, minutes_ago=6))
    program.sandbox.zenovay.add_rows("shop", [row(1)])

    ended = bare(program, CODE, SHOP, CODE, SYNC_NONSENSE="1", SYNC_FIELDS="nonsense", ZENOVAY_API_KEY="ZV_x")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"{CODE}: 3 visitors now\n{SHOP}: 1 visitor now\n"
    assert asked(program) == [LIVE, f"/e/live/{SHOP}"]
    assert program.sandbox.zenovay.month_used == 0
    assert not program.state_file.exists()


def test_json_is_an_object_for_each_code(program: Program) -> None:
    ended = bare(program, CODE, "ZV_OTHER", "--json")

    first, second = map(json.loads, ended.stdout.splitlines())
    assert first.keys() == {"tracking_code", "count", "at"}
    assert (first["tracking_code"], first["count"]) == (CODE, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", first["at"])
    assert second.keys() == {"tracking_code", "count", "error"}
    assert (second["tracking_code"], second["count"]) == ("ZV_OTHER", None)
    assert "begins with ZV_" in second["error"]
    assert (ended.returncode, ended.stderr) == (2, "")


def test_one_that_fails_keeps_no_other_from_being_shown(program: Program) -> None:
    program.sandbox.zenovay.faults.add(Fault.answer(403, {"error": "no"}), path=SHOP)

    ended = bare(program, "ZV_OTHER", SHOP, CODE)

    assert ended.returncode == 5
    assert ended.stdout == f"{CODE}: 0 visitors now\n"
    told = map(json.loads, ended.stderr.splitlines())
    assert [(each["action"], each["tracking_code"]) for each in told] == [
        ("error", "ZV_OTHER"),
        ("error", SHOP),
    ]


def test_an_outage_is_told_after_a_few_attempts(program: Program) -> None:
    program.sandbox.zenovay.faults.add(Fault.empty(503), times=FOREVER)

    ended = bare(program, CODE)

    assert ended.returncode == 4
    assert f"Zenovay {LIVE}: status 503 (an empty body), after 3 attempts." in ended.stderr
    assert asked(program) == [LIVE] * 3


def test_the_secret_key_is_neither_sent_nor_shown(program: Program) -> None:
    ended = bare(program, CODE, "zv_0123456789abcdef")

    assert ended.returncode == 2
    assert "lower-case zv_" in ended.stderr
    assert "0123456789" not in ended.stderr + ended.stdout
    assert asked(program) == []


@pytest.mark.parametrize("url", ["http://example.test", "nonsense", "https://user:pw@example.test"])
def test_a_wrong_base_url_is_a_wrong_setting(program: Program, url: str) -> None:
    ended = bare(program, CODE, ZENOVAY_BASE_URL=url)

    assert ended.returncode == 2
    assert json.loads(ended.stderr)["what"].startswith(
        "A setting is wrong:\n  ZENOVAY_BASE_URL must be a URL"
    )
    assert url not in ended.stderr


def test_the_base_url_is_also_read_from_the_file(program: Program) -> None:
    (program.folder / ".env").write_text(f"ZENOVAY_BASE_URL={program.sandbox.zenovay_url}\nSYNC_NONSENSE=1\n")

    assert bare(program, CODE, ZENOVAY_BASE_URL="").stdout == f"{CODE}: 0 visitors now\n"


def test_without_codes_it_is_the_websites_of_the_settings(program: Program) -> None:
    program.sandbox.zenovay.add_rows("shop", [row(1), row(2)])
    program.sandbox.zenovay.add_rows("third", [row(3)])

    ended = program("live", ZENOVAY_WEBSITE_ID=f"shop,{program.website}")

    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout == f"{SHOP}: 2 visitors now\n{CODE}: 0 visitors now\n"
    assert program.sandbox.zenovay.month_used == 1


def test_without_codes_all_settings_are_needed(program: Program) -> None:
    ended = bare(program)

    assert ended.returncode == 2
    assert "ZENOVAY_API_KEY is missing" in ended.stderr


@pytest.mark.parametrize("listed", [[], [{"id": "site_sandbox"}], [{"id": "other", "tracking_code": "ZV_x"}]])
def test_a_website_without_a_code_is_told_what_to_do(program: Program, listed: list[Any]) -> None:
    program.sandbox.zenovay.faults.add(Fault.answer(200, {"websites": listed}), path="/websites")

    ended = program("live")

    assert ended.exit_code == 2
    assert "has no tracking code of site_sandbox." in ended.error["what"]
    assert "Give the codes as arguments" in ended.error["fix"]


def test_an_older_server_is_asked_at_its_older_place(program: Program) -> None:
    program.sandbox.zenovay.older_live = True
    program.visitors(row(1))

    assert bare(program, CODE).stdout == f"{CODE}: 1 visitor now\n"
    assert asked(program) == [LIVE, f"/live/{CODE}"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_watching_prints_a_line_each_time_until_it_is_stopped(
    program: Program, number: signal.Signals, code: int
) -> None:
    process = program.start("live", CODE, "--watch")
    assert process.stdout
    assert process.stderr
    with process:
        assert process.stdout.readline() == f"{CODE}: 0 visitors now\n"
        first = time.monotonic()
        program.visitors(row(1))
        assert process.stdout.readline() == f"{CODE}: 1 visitor now\n"
        assert time.monotonic() - first > REFRESH_S - 0.5
        process.send_signal(number)
        rest = process.stdout.read(), process.stderr.read()

    assert (process.returncode, rest) == (code, ("", ""))
    assert asked(program) == [LIVE] * 2


def test_watching_on_a_terminal_refreshes_in_place(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.zenovay.faults.add(Fault.empty(503), path=SHOP)
    ours, its = pty.openpty()
    environment = program.environment({"TERM": "xterm", "COLUMNS": "200", "LINES": "40"})
    with subprocess.Popen(
        [COMMAND, "live", CODE, SHOP, "--watch"], stdin=its, stdout=its, stderr=its, env=environment
    ) as process:
        os.close(its)
        shown = b""
        while b"status 503" not in shown:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # Linux: the other end was closed
            while piece := os.read(ours, 65536):
                shown += piece
        os.close(ours)

    assert process.returncode == 130
    text = shown.decode()
    assert re.search(
        rf"{CODE}: 1 visitor now \(\d\d:\d\d:\d\dZ\)\r\n{SHOP}: Zenovay /e/live/{SHOP}: status 503", text
    )
    assert "\x1b[" in text
    assert "error:" not in text


def test_watching_ends_with_its_reader(program: Program, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [COMMAND, "live", CODE, "--watch"], stdout=writer, env=program.environment(), cwd=tmp_path
    ) as process:
        os.close(writer)
        assert process.wait(30) == 141
    assert asked(program) == [LIVE]


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_watching_ends_with_a_failure_that_lasts(program: Program, extra: tuple[str, ...]) -> None:
    ended = bare(program, "ZV_OTHER", "--watch", *extra)

    assert ended.returncode == 2
    assert "Zenovay knows no tracking code ZV_OTHER." in (ended.stdout if extra else ended.stderr)


@dataclass
class Script:
    """A counter that gives what it is told to, one a refresh, and then is stopped; ``at`` says when."""

    outcomes: list[int | SyncError]
    clock: FakeClock
    at: list[float]

    def count(self, code: str) -> LiveCount:
        if not self.outcomes:
            raise InterruptedRunError(signal.SIGINT)
        self.at.append(self.clock.monotonic())
        outcome = self.outcomes.pop(0)
        self.clock.advance(1.5)
        if isinstance(outcome, SyncError):
            raise outcome
        return LiveCount(code, outcome, self.clock.now())


def watched(*outcomes: int | SyncError) -> tuple[int, list[str], list[float]]:
    """How watching ends, what it shows, and the seconds between two requests."""
    script, shown = Script(list(outcomes), FakeClock(), []), list[str]()
    try:
        code = keep_showing(
            script,  # type: ignore[arg-type]  # what is counted by
            [CODE],
            script.clock,
            lambda _, outcome: shown.append(str(outcome)),
        )
    except InterruptedRunError as stopped:
        code = stopped.exit_code
    return code, shown, [after - before for before, after in zip(script.at, script.at[1:], strict=False)]


def odd() -> ContractBrokenError:
    error = ContractBrokenError("odd")
    error.__cause__ = TransientError("odd", malformed=True)
    return error


def test_what_may_pass_is_shown_and_watching_goes_on() -> None:
    code, shown, apart = watched(1, UnavailableError("out"), odd(), odd(), 2, odd(), odd(), 1)

    assert code == 130
    counts = ["1 visitor", "2 visitors", "1 visitor"]
    assert shown == [counts[0], "out", "odd", "odd", counts[1], "odd", "odd", counts[2]]
    assert min(apart) >= REFRESH_S


@pytest.mark.parametrize(
    "lasting",
    [SettingsError("x"), AccessRefusedError("x"), ContractBrokenError("x")],
    ids=lambda each: each.exit_code,
)
def test_what_lasts_is_shown_and_ends_it(lasting: SyncError) -> None:
    assert watched(1, lasting, 2)[:2] == (lasting.exit_code, ["1 visitor", "x"])


def test_three_odd_answers_in_a_row_are_a_changed_api() -> None:
    assert watched(odd(), odd(), odd(), 1)[:2] == (6, ["odd"] * 3)


def test_a_wait_that_is_asked_for_is_kept() -> None:
    until = FakeClock().now()
    long = UnavailableError("later", until=until.replace(minute=until.minute + 5))

    _, _, apart = watched(long, 1, 2)

    assert apart[0] == 300
    assert apart[1] >= REFRESH_S
