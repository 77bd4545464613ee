"""What needs a person, and what of it was told already: decided from one run and a memory. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

EVERYWHERE = ""
"""The place of a trouble that is no single website's."""

REMINDER = timedelta(days=1)

MOST_UNSENT = 20
"""Older messages that did not arrive are given up."""

_BUG = 1
_CHANGING = re.compile(r"\S*\d\S*")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that needs a person. What ``lasts`` is over when a later run proves it; the rest happened.

    ``cause`` is what it has in common with itself an hour later; by default its text without the words that
    hold a digit, which are counts, times and ids.
    """

    place: str
    exit_code: int
    text: str
    lasts: bool = True
    cause: str | None = None

    @property
    def kind(self) -> str:
        """The same for the same trouble of another website."""
        plain = self.text if self.exit_code == _BUG else _CHANGING.sub("#", self.text)
        return f"{self.exit_code} {_digest(self.cause or plain)}"

    @property
    def key(self) -> str:
        return f"{self.place} {self.kind}"


@dataclass(frozen=True, slots=True)
class Alarm:
    """That somebody was told of a trouble, and not yet that it is over."""

    since: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be told now: each trouble with the instant since when it lasts, and what is well again."""

    troubles: list[tuple[Trouble, datetime]]
    well: dict[str, Alarm]

    def __bool__(self) -> bool:
        return bool(self.troubles or self.well)


@dataclass(slots=True)
class Memory:
    """What earlier runs met, and what was told of it.

    ``told`` says of each trouble when it was told last, ``current`` in which one each place is, and since
    when. ``alarms`` are open, by place. ``good`` says of each website when it was synced last, or else since
    when it is known. ``unsent`` are messages that did not arrive, with the channel that they are for.
    """

    told: dict[str, datetime] = field(default_factory=dict)
    current: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    good: dict[str, datetime] = field(default_factory=dict)
    unsent: list[tuple[str, str]] = field(default_factory=list)

    def judge(self, troubles: Iterable[Trouble], *, well: Iterable[str], now: datetime) -> Letter:
        """What is to be told of a run that met ``troubles``, and proved that the places in ``well`` are well.

        A trouble is told when it is new, and again after a day. One that comes back within a day of being
        told is not told again, and neither is its next end. Whoever is told of one is told of all that last.
        """
        lasting = [each for each in troubles if each.lasts]
        happened = [each for each in troubles if not each.lasts]
        self._inherit(lasting)
        over = self._end(set(well) - {each.place for each in lasting})
        since = [self._note(each, now) for each in lasting]
        self.told = {key: at for key, at in self.told.items() if abs(now - at) < REMINDER}
        due = [(each, now) for each in happened if each.key not in self.told]
        if any(each.key not in self.told for each in lasting):
            due = [*zip(lasting, since, strict=True), *due]
        for each, began in due:
            self.told[each.key] = now
            if each.lasts:
                self.alarms.setdefault(each.place, Alarm(began, each.text))
        return Letter(due, over)

    def forget_all_but(self, places: Iterable[str]) -> None:
        """Websites that are synced no more are in no trouble."""
        for place in {*self.current, *self.alarms, *self.good}.difference(places, {EVERYWHERE}):
            for kept in (self.current, self.alarms, self.good):
                kept.pop(place, None)

    def good_until(self, website: str, now: datetime) -> datetime:
        return self.good.setdefault(website, now)

    def _inherit(self, lasting: list[Trouble]) -> None:
        """An alarm for everything, of which now only some websites are in trouble, is theirs from now on."""
        heirs = {each.place for each in lasting}
        if EVERYWHERE in self.alarms and heirs and EVERYWHERE not in heirs:
            alarm = self.alarms.pop(EVERYWHERE)
            self.current.pop(EVERYWHERE, None)
            for place in heirs:
                self.alarms.setdefault(place, alarm)

    def _end(self, places: set[str]) -> dict[str, Alarm]:
        for place in places:
            self.current.pop(place, None)
        return {place: self.alarms.pop(place) for place in sorted(places) if place in self.alarms}

    def _note(self, trouble: Trouble, now: datetime) -> datetime:
        key, since = self.current.get(trouble.place, (None, now))
        self.current[trouble.place] = (trouble.key, since if key == trouble.key else now)
        return self.current[trouble.place][1]

    def merged(self, other: Memory) -> Memory:
        """Both memories as one; of what they disagree on, what ``other`` says."""
        return Memory(
            self.told | other.told,
            self.current | other.current,
            self.alarms | other.alarms,
            self.good | other.good,
            other.unsent or self.unsent,
        )

    def as_json(self) -> str:
        written = {
            "told": {key: at.isoformat() for key, at in self.told.items()},
            "current": {place: [key, at.isoformat()] for place, (key, at) in self.current.items()},
            "alarms": {place: [each.since.isoformat(), each.text] for place, each in self.alarms.items()},
            "good": {website: at.isoformat() for website, at in self.good.items()},
            "unsent": self.unsent[-MOST_UNSENT:],
        }
        return json.dumps(written, indent=1)


def from_json(text: str) -> Memory:
    """The memory that was written; an empty one for rubbish."""
    try:
        read = json.loads(text)
        return Memory(
            {str(key): _instant(at) for key, at in read["told"].items()},
            {str(place): (str(key), _instant(at)) for place, (key, at) in read["current"].items()},
            {str(place): Alarm(_instant(at), str(told)) for place, (at, told) in read["alarms"].items()},
            {str(website): _instant(at) for website, at in read["good"].items()},
            [(str(channel), str(text)) for channel, text in read.get("unsent", ())],
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Memory()


def _instant(text: Any) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant without its offset")
    return at


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="backslashreplace"), digest_size=8).hexdigest()
