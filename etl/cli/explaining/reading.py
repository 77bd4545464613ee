"""What the state says of a key: read in one view of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.cli.keys import readings
from etl.cli.wiring import renamed, reruled
from etl.models.contact import EMAIL, RECORD, VISITOR, ContactKey
from etl.models.dossier import Dossier, Met
from etl.models.summary import Status
from etl.pipeline.retention import pruned_to

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from etl.fields import SyncedFields
    from etl.models.contact import ContactKind
    from etl.models.dossier import Standing
    from etl.models.erasure import Lead, Trace
    from etl.models.portal import Owner
    from etl.models.stop import Stop
    from etl.models.verdict import RefusedThing
    from etl.models.visitor import Visitor
    from etl.state.store import Transaction
    from etl.state.verdicts import PastVerdict

SHOWN_VERDICTS = 10
_BRAKES = ("SYNC_MAX_CHANGED", "SYNC_MAX_REJECTED")
"""A run that one of them stopped names it, and may else look like one that has only met rejections."""


@dataclass(frozen=True, slots=True)
class Findable:
    """What the state says. ``failures`` are the sentences of last runs that were stopped, by website.

    ``sent`` is when requests were sent to HubSpot, in microseconds, and ``stated`` the limit that it stated.
    ``is_busy``: a run goes on.
    """

    dossier: Dossier
    verdicts: Sequence[PastVerdict] = ()
    stops: Sequence[tuple[str, Stop]] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None
    sent: Sequence[int] = ()
    stated: int | None = None
    is_busy: bool = False


def look_up(
    key: str,
    synced: SyncedFields,
    state: Transaction,
    *,
    websites: Collection[str] | None,
    hubspot: bool,
) -> Findable:
    """All that is known of a key; with ``hubspot`` also what it takes to ask there.

    ``websites`` are those of the settings, whose runs may have been stopped; None: all.
    """
    dossier = _dossier(key, synced, state)
    contact = dossier.contact
    return Findable(
        dossier,
        state.verdicts.of_contact(contact.entry.contact_id, most=SHOWN_VERDICTS) if contact else (),
        state.limits.stops(),
        _failures(state.runs.websites().keys() if websites is None else websites, state),
        state.ownership.owner(),
        state.limits.sent("hubspot") if hubspot else (),
        state.limits.stated("hubspot") if hubspot else None,
        state.holder() is not None,
    )


def _failures(websites: Iterable[str], state: Transaction) -> dict[str, str]:
    found = {}
    for website in websites:
        for last in state.runs.last(website, 1):
            reason = str(last.get("reason") or "")
            if reason and (last["status"] == Status.FAILED.value or any(each in reason for each in _BRAKES)):
                found[website] = reason
    return found


def _dossier(key: str, synced: SyncedFields, state: Transaction) -> Dossier:
    websites = {website.id: name for name, website in state.runs.websites().items()}
    leads = sorted(state.erasure.leads(readings(key)), key=lambda lead: lead.key.rank)
    traces = list(state.erasure.traces({key}))
    ids = [each.contact_id for each in traces if each.contact_id is not None]
    standings = state.standings.of({*ids, *(lead.leads_to for lead in leads)})
    contact = _meant([*ids, *(lead.leads_to for lead in leads)], standings)
    members = _members(contact, websites, state)
    if not members:
        stating = list(state.erasure.stating(_addresses(key, contact)))
        traces += [*stating, *_namesakes(contact, state)]
        if contact is None:
            contact = _home(stating, state)
            members = _members(contact, websites, state)
    strays = _strays(traces, contact, websites, state)
    standings |= state.standings.of({met.contact_id for met in strays if met.contact_id is not None})
    visitor_ids = {key, *(met.visitor.id for met in (*members, *strays))}
    records = {key, *([contact.entry.record] if contact and contact.entry.record else [])}
    links = {*state.links.of_visitors(visitor_ids)}
    links |= {link for found in state.links.of_records(records).values() for link in found}
    return Dossier(
        key,
        _kinds(key, leads, traces, {link.record for link in links}),
        contact,
        members,
        strays,
        {number: each for number, each in standings.items() if each is not contact},
        tuple(sorted(links)),
        _rejections(key, contact, members, state),
        bool(state.forgotten.among(readings(key))),
        renamed(state, synced),
        reruled(state, synced),
        max(filter(None, (pruned_to(name, state) for name in websites.values())), default=None),
    )


def _meant(ids: Iterable[int], standings: Mapping[int, Standing]) -> Standing | None:
    """The first of these contacts that is wanted; else the first."""
    found = [standings[number] for number in ids if number in standings]
    return next((each for each in found if each.entry.wanted is not None), found[0] if found else None)


def _home(traces: Iterable[Trace], state: Transaction) -> Standing | None:
    ids = [each.contact_id for each in traces if each.contact_id is not None]
    return _meant(ids, state.standings.of(ids))


def _addresses(key: str, contact: Standing | None) -> set[str]:
    """The addresses that may say whose visitors those are who belong to nobody."""
    own = [contact.entry.key] if contact else []
    return {
        each.value
        for each in (*own, ContactKey(EMAIL, key.lower()))
        if each.kind is EMAIL and "@" in each.value
    }


def _namesakes(contact: Standing | None, state: Transaction) -> Iterator[Trace]:
    """The visitor whom a contact was made for, wherever it belongs now."""
    if contact is not None and contact.entry.key.kind is VISITOR:
        yield from state.erasure.traces({contact.entry.key.value})


def _members(contact: Standing | None, websites: Mapping[int, str], state: Transaction) -> tuple[Met, ...]:
    if contact is None:
        return ()
    number = contact.entry.contact_id
    members = state.visitors.members([number]).get(number, [])
    links = state.links.of({member.visitor.id for member in members})
    met = [_met(each.website_id, each.visitor, number, websites, links) for each in members]
    return tuple(sorted(met, key=lambda each: each.visitor.last_seen, reverse=True))


def _strays(
    traces: Iterable[Trace], contact: Standing | None, websites: Mapping[int, str], state: Transaction
) -> tuple[Met, ...]:
    home = contact.entry.contact_id if contact else None
    away = {(each.website_id, each.visitor_id) for each in traces if home is None or each.contact_id != home}
    links = state.links.of({visitor_id for _, visitor_id in away})
    return tuple(
        _met(website_id, known.visitor, known.contact_id, websites, links)
        for website_id, visitor_id in sorted(away)
        for known in state.visitors.known(website_id, {visitor_id}).values()
    )


def _met(
    website_id: int,
    visitor: Visitor,
    contact_id: int | None,
    websites: Mapping[int, str],
    links: Mapping[str, str],
) -> Met:
    return Met(websites.get(website_id, str(website_id)), visitor, contact_id, links.get(visitor.id))


def _kinds(
    key: str, leads: Sequence[Lead], traces: Sequence[Trace], records: Collection[str]
) -> tuple[ContactKind, ...]:
    own = {lead.key for lead in leads}
    is_kind = {
        EMAIL: ContactKey(EMAIL, key.lower()) in own or any(each.email == key.lower() for each in traces),
        RECORD: key in records or any(lead.record == key for lead in leads),
        VISITOR: ContactKey(VISITOR, key) in own or any(each.visitor_id == key for each in traces),
    }
    return tuple(kind for kind, so in is_kind.items() if so)


def _rejections(
    key: str, contact: Standing | None, members: Iterable[Met], state: Transaction
) -> tuple[RefusedThing, ...]:
    keys = {key, key.lower(), *(met.visitor.id for met in members)}
    return tuple(state.rejections.about(keys, [contact.entry.contact_id] if contact else []))
