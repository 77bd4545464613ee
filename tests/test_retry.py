"""One policy for everything worth another try: bounded, polite, and honest at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from fakes import NOW, FakeClock
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ContractBrokenError, UnavailableError
from etl.retry import Patience, TransientError, persevere

PATIENCE = Patience(attempts=5, total_s=60, longest_wait_s=15, longest_asked_s=120)


@dataclass
class Service:
    """Raises what it is told to, one after the other and the last for ever; then answers."""

    clock: FakeClock
    failures: list[Exception]
    answers_after: int | None = None
    takes_s: float = 0.0
    attempts: int = 0
    started: list[float] = field(default_factory=list)

    def __call__(self) -> str:
        self.attempts += 1
        self.started.append(self.clock.monotonic())
        self.clock.advance(self.takes_s)
        if self.answers_after is not None and self.attempts > self.answers_after:
            return "answer"
        raise self.failures[min(self.attempts, len(self.failures)) - 1]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def ask(service: Service, patience: Patience = PATIENCE) -> str:
    return persevere(service, patience=patience, clock=service.clock, where="Somebody")


def test_an_answer_needs_no_second_attempt(clock: FakeClock) -> None:
    service = Service(clock, [], answers_after=0)

    assert ask(service) == "answer"
    assert (service.attempts, clock.waits) == (1, [])


def test_a_failure_that_passes_is_not_heard_of(clock: FakeClock) -> None:
    service = Service(clock, [TransientError("busy")], answers_after=4)

    assert ask(service) == "answer"
    assert service.attempts == 5


def test_attempts_are_bounded(clock: FakeClock) -> None:
    service = Service(clock, [TransientError("busy")])

    with pytest.raises(UnavailableError, match="Somebody: busy, after 5 attempts") as ended:
        ask(service)
    assert service.attempts == 5
    assert ended.value.until is None


def test_time_is_bounded(clock: FakeClock) -> None:
    service = Service(clock, [TransientError("slow")], takes_s=35)

    with pytest.raises(UnavailableError):
        ask(service)
    assert service.attempts == 2


@given(st.lists(st.none() | st.floats(0, 200), min_size=1, max_size=8), st.floats(0, 30))
def test_nobody_waits_for_ever(asked: list[float | None], takes_s: float) -> None:
    service = Service(FakeClock(), [TransientError("busy", asked_s=wait) for wait in asked], takes_s=takes_s)
    with pytest.raises(UnavailableError):
        ask(service)

    waited = [wait for wait, _ in service.clock.waits]
    assert service.attempts <= PATIENCE.attempts
    assert all(wait <= PATIENCE.longest_asked_s for wait in waited)
    asked_for = sum(asked[min(n, len(asked) - 1)] or 0 for n in range(len(waited)))
    assert service.started[-1] - 1000 - asked_for <= PATIENCE.total_s + PATIENCE.longest_wait_s


def test_our_own_waits_grow_and_are_bounded(clock: FakeClock) -> None:
    service = Service(clock, [TransientError("busy")])
    with pytest.raises(UnavailableError):
        ask(service, Patience(attempts=10, total_s=1000, longest_wait_s=15))

    waits = [wait for wait, _ in clock.waits]
    assert len(waits) == 9
    assert max(waits) <= 15
    assert waits[0] < 2 < waits[-1]


def test_a_wait_that_is_asked_for_wins_but_nobody_is_hammered(clock: FakeClock) -> None:
    service = Service(clock, [TransientError("429", asked_s=70.0), TransientError("429", asked_s=0.0)])
    service.answers_after = 2

    assert ask(service) == "answer"
    asked, ours = (wait for wait, _ in clock.waits)
    assert asked == 70.0
    assert 1.0 <= ours <= 1.5


def test_a_wait_that_is_too_long_ends_at_once_and_names_the_time(clock: FakeClock) -> None:
    service = Service(clock, [TransientError("429", asked_s=120.1)])

    with pytest.raises(UnavailableError, match="2026-02-07T12:02:00Z") as ended:
        ask(service)
    assert (service.attempts, clock.waits) == (1, [])
    assert ended.value.until == NOW + timedelta(seconds=120.1)


def test_the_longest_wait_that_is_obeyed_is_obeyed(clock: FakeClock) -> None:
    service = Service(clock, [TransientError("429", asked_s=120.0)], answers_after=1)

    assert ask(service) == "answer"


def test_answers_that_are_all_malformed_mean_that_the_other_side_is_not_what_we_know(
    clock: FakeClock,
) -> None:
    service = Service(clock, [TransientError("no JSON", malformed=True)])

    with pytest.raises(ContractBrokenError, match="Somebody: no JSON, 5 times in a row"):
        ask(service)


@pytest.mark.parametrize("sound", [0, 2, 4])
def test_malformed_answers_among_failures_are_an_outage(clock: FakeClock, sound: int) -> None:
    failures: list[Exception] = [TransientError("no JSON", malformed=True) for _ in range(5)]
    failures[sound] = TransientError("503")

    with pytest.raises(UnavailableError):
        ask(Service(clock, failures))


@pytest.mark.parametrize("failure", [ValueError("a bug"), ContractBrokenError("a page repeats")])
def test_what_is_not_transient_passes_through_at_once(clock: FakeClock, failure: Exception) -> None:
    service = Service(clock, [failure])

    with pytest.raises(type(failure)) as ended:
        ask(service)
    assert ended.value is failure
    assert service.attempts == 1


def test_the_last_failure_is_the_cause(clock: FakeClock) -> None:
    first, last = TransientError("first"), TransientError("last")
    with pytest.raises(UnavailableError) as ended:
        ask(Service(clock, [first, last]))

    assert ended.value.__cause__ is last
