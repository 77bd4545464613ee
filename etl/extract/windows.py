"""The relative windows that the API offers, and which of them covers an instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Span:
    """A value of the ``range`` parameter and the time it reaches back."""

    range: str
    length: timedelta


SPANS = (
    Span("24h", timedelta(hours=24)),
    Span("7d", timedelta(days=7)),
    Span("30d", timedelta(days=30)),
    Span("90d", timedelta(days=90)),
    Span("1y", timedelta(days=365)),
)
SHORTEST, LONGEST = SPANS[0], SPANS[-1]


def narrowest(age: timedelta) -> Span:
    """The shortest span that reaches back ``age``; the longest where none does."""
    return next((span for span in SPANS if span.length >= age), LONGEST)


def covered_by(span: Span) -> tuple[str, ...]:
    """The ranges that reach back no further than ``span``, itself among them."""
    return tuple(each.range for each in SPANS if each.length <= span.length)
