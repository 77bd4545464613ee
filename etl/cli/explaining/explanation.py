"""The whole explanation of a key, as an object for programs; its keys are only ever added to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.cli.explaining.words import Command, Words
from etl.cli.speech import spoken
from etl.models.summary import utc_text
from etl.pipeline import stating
from etl.pipeline.explaining import findings, foresee

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.cli.explaining.asking import Shown
    from etl.cli.explaining.reading import Findable
    from etl.models.contact import Parcel
    from etl.models.dossier import Met, Standing
    from etl.pipeline.explaining import Finding
    from etl.pipeline.order import Order
    from etl.pipeline.stating import FieldView, Statement
    from etl.state.verdicts import PastVerdict


@dataclass(frozen=True, slots=True)
class Person:
    """A visitor behind the contact, or one that the key is of and that belongs elsewhere."""

    met: Met
    belongs: bool
    statements: Sequence[Statement]


@dataclass(frozen=True, slots=True)
class Explanation:
    """``findings`` are told with their sentences; the first is the answer."""

    found: Findable
    shown: Shown
    findings: Sequence[tuple[Finding, str]]
    fields: Sequence[FieldView]
    people: Sequence[Person]
    remains: Sequence[Statement]
    commands: Sequence[Command]

    @property
    def would_be_sent(self) -> bool:
        return self.findings[0][0].sends

    def as_object(self) -> dict[str, Any]:
        dossier = self.found.dossier
        (first, sentence), *_ = self.findings
        command = self.commands[0].command if self.commands else None
        return {
            "key": dossier.key,
            "kinds": [kind.value for kind in dossier.kinds],
            "contact": _contact(dossier.contact) if dossier.contact else None,
            "answer": {
                "would_be_sent": first.sends,
                "reason": first.reason.value,
                "sentence": sentence,
                "command": command,
            },
            "reasons": [_finding(*pair) for pair in self.findings],
            "held_back": [stop.as_object(api) for api, stop in self.found.stops],
            "failed": [{"website": name, "reason": spoken(why)} for name, why in self.found.failures.items()],
            "hubspot": self._hubspot(),
            "fields": [_field(each) for each in self.fields],
            "visitors": [_person(each) for each in self.people],
            "remains": [_statement(each) for each in self.remains],
            "links": [{**link._asdict(), "since": utc_text(link.since)} for link in dossier.links],
            "verdicts": [_verdict(each) for each in self.found.verdicts],
            "rejections": [each.as_object() for each in dossier.rejections],
            "others": [_contact(each) for each in dossier.others.values()],
            "commands": [each._asdict() for each in self.commands],
        }

    def _hubspot(self) -> dict[str, Any]:
        contact = self.shown.contact
        return {
            "asked": self.shown.is_told or self.shown.error is not None,
            "found": contact is not None if self.shown.is_told else None,
            "record": contact.record if contact else None,
            "error": spoken(str(self.shown.error)) if self.shown.error else None,
            "doubt": self.shown.doubt,
        }


def explained(
    found: Findable,
    shown: Shown,
    parcel: Parcel | None,
    order: Order,
    *,
    now: datetime,
    for_people: bool,
) -> Explanation:
    """What state and HubSpot say together. ``parcel`` is the contact, where there is one."""
    dossier, synced = found.dossier, order.synced
    foreseen = foresee(parcel, shown.sights, synced) if parcel and shown.is_told else None
    reasons = findings(dossier, order, now=now, foreseen=foreseen)
    words = Words(dossier, order, now=now if for_people else None)
    stated = zip(dossier.members, stating.statements(dossier, synced), strict=True)
    people = [Person(met, belongs=True, statements=each) for met, each in stated]
    people += [
        Person(met, belongs=False, statements=stating.stated_by_stray(met.visitor, synced))
        for met in dossier.strays
    ]
    return Explanation(
        found,
        shown,
        [(each, words.sentence(each)) for each in reasons],
        stating.views(parcel, synced, shown.properties) if parcel else [],
        people,
        stating.remaining(dossier, synced),
        [Command(spoken(way), does) for way, does in words.commands(reasons, found.verdicts)],
    )


def _contact(standing: Standing) -> dict[str, Any]:
    entry = standing.entry
    return {
        "key": entry.key.value,
        "kind": entry.key.kind.value,
        "record": entry.record,
        "made": entry.made,
        "due": entry.due,
    }


def _finding(finding: Finding, sentence: str) -> dict[str, Any]:
    return {
        "reason": finding.reason.value,
        "sends": finding.sends,
        "properties": list(finding.properties),
        "at": utc_text(finding.at),
        "sentence": sentence,
    }


def _field(view: FieldView) -> dict[str, Any]:
    field = view.field
    return {
        "field": view.name,
        "property": view.property,
        "policy": field.policy.value if field else "overwrite",
        "rows": field.rows.value if field else None,
        "people": field.people.value if field else None,
        "wanted": view.wanted,
        "last_written": view.last_written,
        "in_hubspot": view.in_hubspot,
        "changed_by_people": view.changed_by_people,
        "settings": [field.setting, field.write_setting] if field else ["SYNC_VISITOR_ID_PROPERTY"],
    }


def _person(person: Person) -> dict[str, Any]:
    visitor = person.met.visitor
    return {
        "website": person.met.website,
        "visitor": visitor.id,
        "belongs": person.belongs,
        "last_seen": utc_text(visitor.last_seen),
        "email": visitor.email,
        "linked_to": person.met.linked_to,
        "opted_out": bool(visitor.opted_out),
        "excluded": visitor.excluded,
        "facts": [_statement(each) for each in person.statements],
    }


def _statement(statement: Statement) -> dict[str, Any]:
    return {**statement._asdict(), "stated_at": utc_text(statement.stated_at)}


def _verdict(verdict: PastVerdict) -> dict[str, Any]:
    return {
        "run": verdict.run,
        "kind": verdict.kind,
        "at": utc_text(verdict.started),
        "outcome": verdict.outcome.value,
        "before": dict(verdict.before),
        "after": dict(verdict.after),
    }
