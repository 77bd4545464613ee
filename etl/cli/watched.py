"""A run and those who watch it: pings, messages and metrics. None of them fails it or holds it up."""

from __future__ import annotations

import logging
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from etl import redact
from etl.cli import keepsake
from etl.cli.printout import sentence
from etl.cli.speech import spoken
from etl.errors import SyncError
from etl.models.summary import Status
from etl.settings import load_watch
from etl.watch.letters import sentences
from etl.watch.outcome import PASSING, SIGNALLED, STALE, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from etl.cli.keepsake import Keepsake
    from etl.cli.subjects import Subject
    from etl.clock import SystemClock
    from etl.models.summary import RunSummary
    from etl.settings import WatchSettings
    from etl.watch.channels import Channel
    from etl.watch.errands import Errands
    from etl.watch.ping import Ping
    from etl.watch.troubles import Memory

log = logging.getLogger(__name__)

DONE_CODES = (0, 3)
"""Of a run that read and delivered; what was rejected is told by messages."""

_ALLOW_S = 8.0
"""With what else there is to do in the end, less than the ten seconds that are promised."""


class Watched:
    """One run of a command that syncs. ``subjects`` are to be given once their settings are read."""

    def __init__(
        self, clock: SystemClock, summaries: Sequence[RunSummary], watch: WatchSettings | None = None
    ) -> None:
        """``summaries`` are looked at in the end. ``watch``: as was read before."""
        self.subjects: Sequence[Subject] = ()
        self._clock = clock
        self._summaries = summaries
        self._watch = watch or load_watch()
        self._rid = str(uuid.uuid4())
        self._errands: Errands | None = None
        self._ping: Ping | None = None

    def begin(self) -> None:
        """Say that a run begins, beside it."""
        if not (self._watch.ping_url or self._watch.notified):
            return
        from etl.watch.errands import Errands  # noqa: PLC0415 -- few need it

        self._errands = Errands(self._clock, allow_s=_ALLOW_S)
        if self._watch.ping_url:
            self._errands.run("ping", self._start)

    def end(self, exit_code: int, failure: SyncError | None = None) -> Outcome:
        """Say how it ended. Waits eight seconds at most, and raises nothing."""
        outcome = self._outcome(exit_code, failure)
        try:
            self._tell(outcome)
        except Exception as exc:  # noqa: BLE001 -- whatever it is, the run has ended as it has
            why = str(exc) if isinstance(exc, SyncError) else type(exc).__name__
            facts = {"action": "watching_failed", "why": why}
            log.warning("those who watch could not be told", extra=facts)
        return outcome

    def _start(self) -> None:
        from etl.watch.ping import Ping  # noqa: PLC0415 -- httpx takes 50 ms, beside the run

        if self._watch.ping_url:
            self._ping = Ping(self._watch.ping_url.get_secret_value(), clock=self._clock)
            self._ping.start(self._rid)

    def _tell(self, outcome: Outcome) -> None:
        if self._watch.metrics_file:
            from etl.cli.measuring import measure  # noqa: PLC0415 -- few need it

            measure(self._watch.metrics_file, self.subjects, outcome, self._clock)
        if self._errands is None:
            return
        kept = keepsake.find()[1].of("notify")
        memory = kept.load()
        letter = outcome.judged(memory)
        channels = _channels(self._watch, self._clock) if letter or memory.unsent else []
        if letter:
            memory.unsent += [(channel.name, self._safe(sentences(letter))) for channel in channels]
        if not kept.save(memory) and letter:
            log.warning("what is told cannot be kept", extra={"action": "telling_not_kept"})
        self._ring(outcome, memory)
        self._send(channels, memory, kept)

    def _ring(self, outcome: Outcome, memory: Memory) -> None:
        """The ping that fits how the run ended."""
        if not (self._errands and self._watch.ping_url):
            return
        code, body = outcome.exit_code, self._safe(_body(outcome))
        stale = any(trouble.cause == STALE for trouble in outcome.troubles(memory))

        def end() -> None:
            if self._ping is None:
                return
            if code in DONE_CODES:
                self._ping.success(self._rid, body)
            elif (code in PASSING and not stale) or code >= SIGNALLED:
                self._ping.log(self._rid, body)
            else:
                self._ping.fail(self._rid, body)

        self._errands.run("ping", end)

    def _send(self, channels: Sequence[Channel], memory: Memory, kept: Keepsake) -> None:
        """Send what is to be sent, and was not before; what does not arrive is sent with the next run."""
        if self._errands is None:
            return
        sent: list[tuple[str, str]] = []

        def sending(channel: Channel, text: str) -> Callable[[], None]:
            def send() -> None:
                channel.send(text)
                sent.append((channel.name, text))

            return send

        for channel in channels:
            texts = [text for name, text in memory.unsent if name == channel.name]
            self._errands.run(channel.name, *(sending(channel, text) for text in texts))
        self._errands.wait()
        if sent:
            for each in sent:
                memory.unsent.remove(each)
            kept.save(memory)

    def _safe(self, text: str) -> str:
        secrets = [secret for each in self.subjects for secret in each.settings.secrets()]
        return redact.secrets(redact.addresses(spoken(text)), *secrets, *self._watch.secrets())

    def _outcome(self, exit_code: int, failure: SyncError | None) -> Outcome:
        outcome = Outcome(
            at=self._clock.now(),
            exit_code=exit_code,
            summaries=self._summaries,
            failure=failure,
            interrupted=self._clock.interruption() is not None,
            stale_after=max((each.settings.sync.stale_after for each in self.subjects), default=None),
            patience={
                place: each.settings.sync.stale_after
                for each in self.subjects
                for place in each.places().values()
            },
        )
        return replace(outcome, successes=self._successes()) if outcome.needs_successes else outcome

    def _successes(self) -> dict[str, datetime]:
        """When each website was last synced, as far as the state can be asked."""
        from etl.cli.derived import state_url  # noqa: PLC0415 -- it brings SQLAlchemy
        from etl.state.store import read_state  # noqa: PLC0415 -- likewise

        now, found = self._clock.now(), dict[str, datetime]()
        for subject in self.subjects:
            with suppress(SyncError), read_state(state_url(subject.settings.sync), self._clock) as state:
                for website, place in subject.places().items():
                    if state and (at := state.runs.last_success(website, now=now)):
                        found[place] = at
        return found


@contextmanager
def watched(
    clock: SystemClock, summaries: Sequence[RunSummary], watch: WatchSettings | None = None
) -> Iterator[Watched]:
    """Watch what is done inside, which says how it ended by ``end``, or raises."""
    watching = Watched(clock, summaries, watch)
    watching.begin()
    try:
        yield watching
    except SyncError as exc:
        watching.end(exc.exit_code, exc)
        raise
    except Exception as exc:
        from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

        watching.end(SyncError.exit_code, as_bug(exc))
        raise


def _channels(watch: WatchSettings, clock: SystemClock) -> list[Channel]:
    from etl.cli.channels import channels  # noqa: PLC0415 -- httpx takes 50 ms

    return channels(watch, clock) if watch.notified else []


def _body(outcome: Outcome) -> str:
    """What a ping says of a run."""
    lines: list[str] = []
    for each in outcome.summaries:
        lines += [sentence(each), *([each.reason] if each.status is Status.FAILED and each.reason else [])]
    return "\n".join([*lines, *([str(outcome.failure)] if outcome.failure else [])])
