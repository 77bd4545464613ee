"""The relative windows that the API offers, and which of them covers an instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.models.traffic import RANGES, span

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Span:
    """A value of the ``range`` parameter and the time it reaches back."""

    range: str
    length: timedelta


SPANS = tuple(Span(range_, span(range_)) for range_ in RANGES)
SHORTEST, LONGEST = SPANS[0], SPANS[-1]


def narrowest(age: timedelta) -> Span:
    """The shortest span that reaches back ``age``; the longest where none does."""
    return next((span for span in SPANS if span.length >= age), LONGEST)


def covered_by(span: Span) -> tuple[str, ...]:
    """The ranges that reach back no further than ``span``, itself among them."""
    return tuple(each.range for each in SPANS if each.length <= span.length)
