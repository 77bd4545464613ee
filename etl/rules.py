"""What several statements of one fact come to.

A rule for the rows of a visitor joins two statements at a time. All of them are commutative, associative and
idempotent, so that rows may come twice, late and in any order. The same joins make the fact of a contact from
those of its visitors; only a sum is none, as the visitors of a contact are a set, which repetition cannot
reach.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from etl.models.visitor import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Statement = tuple[Value, int]
"""A value, and the instant of what stated it, in microseconds since 1970."""


class Rows(StrEnum):
    """What the rows of one visitor come to."""

    LATEST = "latest"
    FIRST = "first"
    LARGEST = "largest"
    SMALLEST = "smallest"
    ANY = "any"


class People(StrEnum):
    """What the visitors of one contact come to."""

    OF_LATEST = "of_latest"
    OF_FIRST = "of_first"
    LARGEST = "largest"
    SMALLEST = "smallest"
    SUM = "sum"
    ANY = "any"


def latest(one: Statement, other: Statement) -> Statement:
    """The later one; at equal instants the alphabetically first, of numbers the larger."""
    if one[1] != other[1]:
        return one if one[1] > other[1] else other
    return (_of_equals(one[0], other[0]), one[1])


def first(one: Statement, other: Statement) -> Statement:
    """The earlier one; at equal instants as ``latest``."""
    if one[1] != other[1]:
        return one if one[1] < other[1] else other
    return (_of_equals(one[0], other[0]), one[1])


def largest(one: Statement, other: Statement) -> Statement:
    """The larger value, whenever it was stated; of flags the one that is set."""
    return one if one[0] >= other[0] else other  # type: ignore[operator]  # values of one kind, never texts


def smallest(one: Statement, other: Statement) -> Statement:
    """The smaller value, whenever it was stated."""
    return one if one[0] <= other[0] else other  # type: ignore[operator]  # as above


JOINS: Mapping[Rows, Callable[[Statement, Statement], Statement]] = {
    Rows.LATEST: latest,
    Rows.FIRST: first,
    Rows.LARGEST: largest,
    Rows.SMALLEST: smallest,
    Rows.ANY: largest,
}

TIMED = frozenset((Rows.LATEST, Rows.FIRST))
"""Rules whose outcome depends on when something was stated."""


def combined(rule: People, statements: Iterable[tuple[Value, int, int]]) -> Statement:
    """What a contact has, and the instant that counts for it, 0 where none does.

    Of at least one visitor: a value, when it was stated, when the visitor was seen.
    """
    if rule is People.SUM:
        return _sum([value for value, _, _ in statements]), 0  # type: ignore[misc]  # numbers, by the kind
    join = _JOINS_OF_PEOPLE[rule]
    by_visitor = rule is People.OF_LATEST
    found: Statement | None = None
    for value, stated, seen in statements:
        statement = (value, seen if by_visitor else stated)
        found = statement if found is None else join(found, statement)
    if found is None:
        raise ValueError("a contact has at least one visitor")
    return found if rule in _TIMED_PEOPLE else (found[0], 0)


def _sum(values: Sequence[float]) -> float:
    """The sum of the numbers as they are written, exact before it is rounded once: so in any order."""
    if all(type(value) is int for value in values):
        return sum(values)
    total = sum(Fraction(repr(value)) for value in values)
    return int(total) if total.denominator == 1 else float(total)


_JOINS_OF_PEOPLE = {
    People.OF_LATEST: latest,
    People.OF_FIRST: first,
    People.LARGEST: largest,
    People.SMALLEST: smallest,
    People.ANY: largest,
}


_TIMED_PEOPLE = frozenset((People.OF_LATEST, People.OF_FIRST))


def _of_equals(one: Value, other: Value) -> Value:
    if isinstance(one, str) and isinstance(other, str):
        return min(one, other)
    return max(one, other)
