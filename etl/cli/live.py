"""``live``: how many visitors are on the websites now."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import click
import orjson

from etl.cli import logs, notices, streams
from etl.cli.beside import beside_runs
from etl.cli.people import say
from etl.cli.stopping import stoppable
from etl.clock import SystemClock
from etl.errors import ContractBrokenError, InterruptedRunError, SettingsError, SyncError, UnavailableError
from etl.extract.account import websites
from etl.extract.live import BRIEF, LiveCounter, checked_code
from etl.jsontext import canonical
from etl.models.summary import utc_text
from etl.retry import Patience, TransientError
from etl.settings import load, load_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from etl.clock import Clock
    from etl.extract.live import LiveCount
    from etl.settings import Settings

    Outcome = LiveCount | SyncError
    Show = Callable[[str, Outcome], None]

REFRESH_S = 10.0
"""From the end of one refresh to the start of the next; Zenovay must not be asked more often."""

_CODES = "tracking_codes"

_ONCE = Patience(attempts=1)
"""The next refresh is the next attempt."""

_MOST_ODD = 3
"""Answers in a row of which none can be read: the API has changed."""


def show_live(given: Sequence[str], *, watch: bool, as_json: bool) -> int:
    """Print the count of each code ``given``, or of each website of the settings. Returns the exit code.

    With ``watch`` it goes on until a signal, a failure that will not pass, or nobody can read it any more.
    """
    clock = SystemClock()
    with stoppable(clock), ExitStack() as stack:
        try:
            base_url, codes = _asked_for(given, clock)
            patience = _ONCE if watch else BRIEF
            counter = LiveCounter(base_url=base_url, clock=clock, patience=patience)
            stack.enter_context(closing(counter))
            if not watch:
                return show_once(counter, codes, clock, _json if as_json else _line)
            logging.getLogger("etl.clock").setLevel(logging.WARNING)  # every refresh is waited for
            return keep_showing(counter, codes, clock, stack.enter_context(_shown(codes, as_json=as_json)))
        except InterruptedRunError as stopped:
            return stopped.exit_code


def show_once(counter: LiveCounter, codes: Iterable[str], clock: Clock, show: Show) -> int:
    """Show each count or failure. Returns the highest exit code."""
    worst = 0
    for code, outcome in _counted(counter, codes, clock):
        show(code, outcome)
        worst = max(worst, outcome.exit_code if isinstance(outcome, SyncError) else 0)
    return worst


def keep_showing(counter: LiveCounter, codes: Iterable[str], clock: Clock, show: Show) -> int:
    """Show again and again. Returns the exit code of a failure that lasts, or 0 where nobody reads."""
    odd = Counter[str]()
    while not streams.is_lost():
        pause_s = REFRESH_S
        for code, outcome in _counted(counter, codes, clock):
            show(code, outcome)
            odd[code] = odd[code] + 1 if _is_odd(outcome) else 0
            if isinstance(outcome, SyncError) and not _may_pass(outcome, odd[code]):
                return outcome.exit_code
            pause_s = max(pause_s, _asked_s(outcome, clock))
        clock.wait(pause_s, "the next refresh")
    return 0


def codes_of_the_account(settings: Settings, clock: Clock) -> tuple[str, ...]:
    """The tracking codes of the configured websites: those that the state knows, else for one request.

    Raises SettingsError for a website of which Zenovay names none, and what ZenovayClient.get raises.
    """
    names = settings.zenovay.website_id
    with beside_runs(settings, clock, reserve=0.0) as beside:
        with beside.store.beside() as state:
            known = state.notebook.mapping(_CODES)
        if not set(names) <= set(known):
            listed = {each.id: each.tracking_code for each in beside.ask(websites) if each.tracking_code}
            known = {name: listed[name] for name in names if name in listed}
            with beside.store.beside() as state:
                state.notebook.put(_CODES, canonical(known).decode())
    if missing := [name for name in names if name not in known]:
        raise SettingsError(
            f"Zenovay's list of websites has no tracking code of {', '.join(missing)}.",
            fix="Give the codes as arguments: visitor-sync live ZV_…",
        )
    return tuple(dict.fromkeys(checked_code(known[name]) for name in names))


def _asked_for(given: Sequence[str], clock: Clock) -> tuple[str, tuple[str, ...]]:
    """Where to ask, and for which codes, each once. Codes that are given need no other setting."""
    if given:
        codes = tuple(dict.fromkeys(checked_code(code) for code in given))
        logs.configure(None, [])
        return load_live().base_url, codes
    settings = load()
    logs.configure(settings.sync.log_format, settings.secrets())
    return settings.zenovay.base_url, codes_of_the_account(settings, clock)


def _counted(counter: LiveCounter, codes: Iterable[str], clock: Clock) -> Iterator[tuple[str, Outcome]]:
    """The count of each code, or why there is none. Raises InterruptedRunError between two."""
    for code in codes:
        try:
            outcome: Outcome = counter.count(code)
        except InterruptedRunError:
            raise
        except SyncError as exc:
            outcome = exc
        yield code, outcome
        clock.wait(0, "whether to stop")


def _is_odd(outcome: Outcome) -> bool:
    """Whether the answer could not be read, which may be a hiccup once or twice."""
    return isinstance(outcome, ContractBrokenError) and isinstance(outcome.__cause__, TransientError)


def _may_pass(failure: SyncError, odd_in_a_row: int) -> bool:
    return isinstance(failure, UnavailableError) or 0 < odd_in_a_row < _MOST_ODD


def _asked_s(outcome: Outcome, clock: Clock) -> float:
    """The wait that an answer asks for, in seconds; 0 without one."""
    until = outcome.until if isinstance(outcome, UnavailableError) else None
    return (until - clock.now()).total_seconds() if until else 0.0


@contextmanager
def _shown(codes: Sequence[str], *, as_json: bool) -> Iterator[Show]:
    """How refreshes are shown: in place on a terminal, else line by line."""
    if as_json or not sys.stdout.isatty():
        yield _json if as_json else _line
        return
    from etl.cli.board import Board  # noqa: PLC0415 -- rich costs 40 ms

    with Board(codes) as board:
        yield board.show


def _line(code: str, outcome: Outcome) -> None:
    if isinstance(outcome, SyncError):
        notices.error(outcome, tracking_code=code)
    else:
        say(f"{code}: {outcome} now")


def _json(code: str, outcome: Outcome) -> None:
    if isinstance(outcome, SyncError):
        said: dict[str, Any] = {"tracking_code": code, "count": None, "error": str(outcome)}
    else:
        said = {"tracking_code": code, "count": outcome.visitors, "at": utc_text(outcome.at)}
    click.echo(orjson.dumps(said))
