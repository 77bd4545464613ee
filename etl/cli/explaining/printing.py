"""An explanation for people: the answer first, then the fields, the visitors, and what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.cli.explaining.words import named
from etl.cli.people import at, say, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from etl.cli.explaining.explanation import Explanation, Person
    from etl.pipeline.stating import FieldView, Statement

LONGEST_VALUE = 60
"""Characters of a value that are shown; --json has all."""


def show(explanation: Explanation, now: datetime) -> None:
    """On stdout."""
    for line in lines(explanation, now):
        say(line)


def lines(explanation: Explanation, now: datetime) -> Iterator[str]:
    yield from _answer(explanation, now)
    yield from _hubspot(explanation)
    yield from _part("fields", _fields(explanation))
    yield from _part("visitors", (line for each in explanation.people for line in _person(each, now)))
    yield from _part(
        "visitors that are not kept any more", (_stated(each, now) for each in explanation.remains)
    )
    yield from _part("links", _links(explanation, now))
    yield from _part("verdicts", _verdicts(explanation, now))
    yield from _part("what would change it", (f"{way}  {does}" for way, does in explanation.commands))


def _answer(explanation: Explanation, now: datetime) -> Iterator[str]:
    (_, why), *others = explanation.findings
    word = "yes" if explanation.would_be_sent else "no"
    yield f"would be sent now: {word}, because {why}"
    for _, sentence in others:
        yield f"also: {sentence}"
    for api, stop in explanation.found.stops:
        until, reason = at(stop.until, now), stop.reason
        yield f"held back: nothing is asked of {api} before {until}: {reason}"
    yield from _failures(explanation)
    contact = explanation.found.dossier.contact
    if contact:
        entry = contact.entry
        made = ", made by this program" if entry.made else ""
        record = f"record {entry.record}{made}" if entry.record else "no record known"
        yield f"contact: {named(entry.key)}, {record}"


def _failures(explanation: Explanation) -> Iterator[str]:
    """Each reason once, as many websites as it may have stopped."""
    about: dict[str, list[str]] = {}
    for website, reason in explanation.found.failures.items():
        about.setdefault(reason, []).append(website)
    for reason, websites in about.items():
        more = f" and {len(websites) - 1} more" if len(websites) > 1 else ""
        yield f"held back: the last run of {websites[0]}{more} was stopped: {reason}"


def _hubspot(explanation: Explanation) -> Iterator[str]:
    shown = explanation.shown
    if shown.error:
        yield f"in HubSpot now: not known. {shown.error}"
    elif shown.is_told and shown.contact is None:
        yield "in HubSpot now: no such contact"
    if shown.doubt:
        yield f"in HubSpot now: {shown.doubt}"


def _part(title: str, found: Iterable[str]) -> Iterator[str]:
    told = list(found)
    if told:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in told)


def _fields(explanation: Explanation) -> Iterator[str]:
    heads = ("property", "wanted", "last written", "in HubSpot now", "")
    rows = [heads, *(_cells(each, asked=explanation.shown.is_told) for each in explanation.fields)]
    if len(rows) == 1:
        return
    yield from _aligned(rows)
    for view in explanation.fields:
        if field := view.field:
            rules = f"rows = {field.rows}, people = {field.people}"
            settings = f"{field.setting}={view.property}, {field.write_setting}={field.policy}"
            yield f"{view.name}: {rules}; {settings}"


def _cells(view: FieldView, *, asked: bool) -> Sequence[str]:
    held = _short(view.in_hubspot) if asked else ""
    mark = ""
    if view.changed_by_people:
        mark = "changed there by somebody" if view.last_written is not None else "somebody else's"
    return (view.property, _short(view.wanted), _short(view.last_written), held, mark)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    told = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    for row in told:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _short(text: str | None) -> str:
    if text is None:
        return "-"
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _person(person: Person, now: datetime) -> Iterator[str]:
    visitor = person.met.visitor
    about = [f"last seen {at(visitor.last_seen, now)}"]
    about += [f"address {visitor.email}"] if visitor.email else []
    about += [f"linked to record {person.met.linked_to}"] if person.met.linked_to else []
    about += ["opted out"] if visitor.opted_out else []
    about += ["excluded"] if visitor.excluded else []
    about += [] if person.belongs else ["does not belong to this contact"]
    yield f"{visitor.id} on {person.met.website}: {', '.join(about)}"
    yield from (f"  {_stated(each, now)}" for each in person.statements)


def _stated(statement: Statement, now: datetime) -> str:
    when = f", stated {at(statement.stated_at, now)}" if statement.stated_at else ""
    counts = "  <- counts" if statement.decides else ""
    return f"{statement.field} {_short(statement.value)}{when}{counts}"


def _links(explanation: Explanation, now: datetime) -> Iterator[str]:
    for link in explanation.found.dossier.links:
        yield f"visitor {link.visitor_id} is linked to record {link.record} since {at(link.since, now)}"


def _verdicts(explanation: Explanation, now: datetime) -> Iterator[str]:
    for each in explanation.found.verdicts:
        yield f"{each.outcome} by the {each.kind} run {each.run}, {at(each.started, now)}"
        for name, text in each.before.items():
            yield f"  {name}: {_short(text or None)} -> {_short(each.after.get(name))}"
