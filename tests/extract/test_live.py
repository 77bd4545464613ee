"""The public live count over real HTTP: where it is asked for, what is understood, and what is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock
from loopback import Loopback, Served, served

from etl.errors import AccessRefusedError, ContractBrokenError, SettingsError, SyncError, UnavailableError
from etl.extract.live import LiveCount, LiveCounter, checked_code, read_live
from etl.extract.payload import UnreadableBodyError
from etl.retry import Patience, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopback import Asked

CODE = "ZV_abc"
NEWEST, OLDER = f"/e/live/{CODE}", f"/live/{CODE}"
THREE = served({"count": 3})
UNKNOWN = served({"success": False, "error": {"code": "NOT_FOUND", "message": "Unknown"}}, status=404)


def outcome(
    answer: Callable[[Asked], Served], *codes: str, patience: Patience | None = None
) -> tuple[list[LiveCount | SyncError], list[Asked], FakeClock]:
    """What a counter says of each code, what it asked for, and the clock by which it waited."""
    clock = FakeClock()
    with Loopback(answer) as server:
        limits: dict[str, Any] = {} if patience is None else {"patience": patience}
        counter = LiveCounter(base_url=server.url, clock=clock, **limits)
        said: list[LiveCount | SyncError] = []
        for code in codes or (CODE,):
            try:
                said.append(counter.count(code))
            except SyncError as error:
                said.append(error)
        counter.close()
        return said, server.asked, clock


def always(answer: Served) -> Callable[[Asked], Served]:
    return lambda _: answer


def scripted(*script: Served) -> tuple[LiveCount | SyncError, list[str], FakeClock]:
    answers = iter(script)
    (said,), asked, clock = outcome(lambda _: next(answers))
    return said, [request.path for request in asked], clock


@pytest.mark.parametrize("name", ["count", "live", "visitors", "live_visitors", "current_visitors"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_name_of_the_count_is_understood(name: str, *, wrapped: bool) -> None:
    content = {"timestamp": "2026-02-07T12:00:00Z", name: 3}

    assert read_live({"success": True, "data": content} if wrapped else content) == 3


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"count": True, "live": 2}, 2),
        ({"count": -1, "visitors": 0}, 0),
        ({"count": "7", "live": 1.5, "live_visitors": 4}, 4),
        ({"live": 2, "count": 5}, 5),
        ({"visitors": [{"id": "v"}], "data": {"count": 6}}, 6),
    ],
)
def test_the_first_whole_number_counts(body: dict[str, Any], count: int) -> None:
    assert read_live(body) == count


@pytest.mark.parametrize(
    "body",
    [
        3,
        None,
        [],
        {},
        {"count": None},
        {"count": True},
        {"data": 3},
        {"data": [{"count": 3}]},
        {"success": False, "count": 3},
        {"error": "gone", "count": 3},
    ],
)
def test_anything_else_is_unreadable(body: Any) -> None:
    with pytest.raises(UnreadableBodyError):
        read_live(body)


def test_the_newest_place_is_asked_once_and_without_a_key() -> None:
    said, asked, _ = outcome(lambda _: THREE)

    assert said == [LiveCount(CODE, 3, NOW)]
    assert [request.path for request in asked] == [NEWEST]
    sent = {name.lower() for name in asked[0].headers}
    assert sent == {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert asked[0].params == {}


def test_the_older_place_is_asked_where_the_newest_is_not_there_and_is_remembered() -> None:
    said, asked, _ = outcome(
        lambda request: THREE if request.path.startswith("/live/") else UNKNOWN, CODE, CODE, "ZV_other"
    )

    assert [each.visitors for each in said if isinstance(each, LiveCount)] == [3, 3, 3]
    assert [request.path for request in asked] == [NEWEST, OLDER, OLDER, "/live/ZV_other"]


def test_a_code_that_nobody_knows_is_a_wrong_setting() -> None:
    said, asked, clock = scripted(UNKNOWN, UNKNOWN)

    assert isinstance(said, SettingsError)
    assert CODE in said.what
    assert "begins with ZV_" in str(said)
    assert asked == [NEWEST, OLDER]
    assert clock.waits == []


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_passes_is_asked_again(status: int) -> None:
    said, asked, clock = scripted(Served(status=status), Served(status=status), THREE)

    assert said == LiveCount(CODE, 3, clock.now())
    assert asked == [NEWEST] * 3


@pytest.mark.parametrize("status", [429, 502])
def test_what_lasts_is_an_outage(status: int) -> None:
    said, asked, clock = scripted(*[Served(status=status)] * 3)

    assert isinstance(said, UnavailableError)
    assert f"Zenovay {NEWEST}: status {status} (an empty body), after 3 attempts." in str(said)
    assert asked == [NEWEST] * 3
    assert sum(seconds for seconds, _ in clock.waits) < 5


def test_a_wait_that_is_asked_for_is_kept_or_told() -> None:
    said, _, clock = scripted(served({}, status=429, headers={"Retry-After": "7"}), THREE)
    assert isinstance(said, LiveCount)
    assert [seconds for seconds, _ in clock.waits] == [7.0]

    said, asked, clock = scripted(served({}, status=429, headers={"Retry-After": "90"}))
    assert isinstance(said, UnavailableError)
    assert said.until is not None
    assert (said.until - clock.now()).total_seconds() == 90
    assert len(asked) == 1


def test_a_refusal_blames_no_key() -> None:
    for status in (401, 403):
        said, _, _ = scripted(served({"error": "no", "code": "FORBIDDEN"}, status=status))
        assert isinstance(said, AccessRefusedError)
        assert "ZENOVAY_API_KEY" not in str(said)
        assert f"status {status} (FORBIDDEN: no)" in said.what


def test_a_firewall_is_told_from_zenovay() -> None:
    said, _, _ = scripted(Served(b"<html>blocked</html>", status=403))

    assert isinstance(said, AccessRefusedError)
    assert "firewall or proxy" in said.what


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (served({"visitors": []}), "an object with the keys visitors and no count"),
        (served({"data": {"x": 1}}), "an object with the keys data, data.x and no count"),
        (served({"success": False, "error": {"code": "X"}}), "success:false (X) with a status of success"),
        (Served(b"<html>3</html>"), "HTML with status 200"),
        (Served(b"3 visitors"), "text that is not JSON with status 200"),
        (Served(), "an empty body with status 200"),
    ],
)
def test_another_shape_breaks_the_contract(answer: Served, seen: str) -> None:
    said, asked, _ = scripted(*[answer] * 3)

    assert isinstance(said, ContractBrokenError)
    assert f"Zenovay {NEWEST}: {seen}, 3 times in a row." in str(said)
    assert len(asked) == 3


@pytest.mark.parametrize(("status", "headers"), [(400, {}), (418, {}), (302, {"Location": "/login"})])
def test_what_no_repeating_helps_is_told_at_once(status: int, headers: dict[str, str]) -> None:
    said, asked, _ = scripted(served({}, status=status, headers=headers))

    assert isinstance(said, ContractBrokenError)
    assert len(asked) == 1


def test_a_hiccup_is_passed_over() -> None:
    said, asked, _ = scripted(Served(b"<html>", status=200), Served(raw=b""), THREE)

    assert isinstance(said, LiveCount)
    assert len(asked) == 3


def test_one_attempt_is_not_said_to_be_several() -> None:
    for answer, told in ((Served(status=500), "(an empty body)."), (Served(b"<a>"), "with status 200.")):
        (said,), asked, clock = outcome(always(answer), patience=Patience(attempts=1))
        assert isinstance(said, SyncError)
        assert isinstance(said.__cause__, TransientError)
        assert said.what.endswith(told)
        assert (len(asked), clock.waits) == (1, [])


def test_a_code_as_zenovay_gives_it_is_taken() -> None:
    assert [checked_code(code) for code in (CODE, "ZV_a-b.c~9", "abc")] == [CODE, "ZV_a-b.c~9", "abc"]


@pytest.mark.parametrize(
    "text",
    [
        "zv_0123456789secret",
        " zv_0123456789secret",
        "'zv_0123456789secret'",
        "",
        "..",
        "ZV_a/b",
        "ZV_a b",
        "ZV_ä",
        "ZV_a\n",
        "ZV_a?x=1",
        "ZV_%2e",
        "ann@example.test",
        "Z" * 201,
    ],
)
def test_what_is_no_code_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checked_code(text)

    said = str(caught.value)
    assert re.search(r"secret|ann|ZV_a|201", said.replace("secret key", "")) is None
    assert ("lower-case zv_" in said) is text.startswith("zv_")
