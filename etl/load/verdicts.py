"""Which contact each entry of HubSpot's answer belongs to, and what it says of it. Pure.

The order of an answer is not the order of the request, entries may lack the trace id, and a contact found
through a secondary address comes back under its primary one. So an entry counts for a contact only if it
names the contact, or if that was asked about alone; what is not settled so goes alone next time.
The shape is that of "Multi-status errors" in https://developers.hubspot.com/docs/api-reference/error-handling;
HubSpot's OpenAPI document of contacts has trace ids as optional.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.load.complaints import Complaint, complaint, listed
from etl.models.contact import RECORD_ID, ContactKey, ContactKind
from etl.models.verdict import CREATED, DEFERRED, REJECTED, UPDATED, Verdict
from etl.pipeline.sighting import gone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from etl.models.contact import Parcel

    _Result = Mapping[str, Any]

EMAIL = "email"
MERGED = "hs_merged_object_ids"
OTHER_EMAILS = "hs_additional_emails"
UNANSWERED = "HubSpot's answer did not say what became of this contact."
_CONTRADICTED = "HubSpot's answer both confirmed and refused this contact."


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """One verdict per parcel, by contact id.

    ``refusals`` holds what HubSpot said against each rejected contact, and ``wrong_setup`` a complaint that
    concerns no contact in particular; the contacts that it hit are then deferred.
    """

    verdicts: dict[int, Verdict]
    refusals: dict[int, Complaint] = field(default_factory=dict)
    wrong_setup: Complaint | None = None


def read_verdicts(parcels: Sequence[Parcel], body: Mapping[str, Any]) -> BatchAnswer:
    """What a 200 or 207 says of each of ``parcels``. Never raises, whatever the shape of ``body``."""
    results, errors = listed(body.get("results")), listed(body.get("errors"))
    complaints = [complaint(error, body_correlation_id=body.get("correlationId")) for error in errors]
    mine = {str(parcel.contact_id): parcel.contact_id for parcel in parcels}
    refusals = {mine[trace]: said for said in complaints[::-1] for trace in said.trace_ids if trace in mine}
    strays = [said for said in complaints if said.trace_ids and not mine.keys() & set(said.trace_ids)]
    taken, untraced, unknown = _by_trace(mine, results)
    nameless = [said for said in complaints if not said.trace_ids]
    held = _by_identity(parcels) if untraced or nameless else {}
    settled = taken.keys() | refusals.keys()
    by_property, loose_results = _by_property(held, untraced, settled=settled)
    taken = by_property | taken
    loose = []
    for said in nameless:
        named = _identified_by(said, held) - taken.keys() - refusals.keys()
        if len(named) == 1 or (named and said.is_about_missing):
            refusals |= dict.fromkeys(named, said)
        else:
            loose.append(said)
    left = [each for each in parcels if each.contact_id not in taken and each.contact_id not in refusals]
    if len(left) == len(loose) + len(loose_results) == 1 and not strays and not unknown:
        (last,) = left  # there is no other way to read the answer
        taken.update((last.contact_id, each) for each in loose_results if _may_be(last, each))
        refusals.update((last.contact_id, said) for said in loose)
    passing = loose[0] if loose and all(said.is_temporary for said in loose) else None
    verdicts = {
        parcel.contact_id: _verdict(
            parcel, taken.get(parcel.contact_id), refusals.get(parcel.contact_id), passing
        )
        for parcel in parcels
    }
    return BatchAnswer(
        verdicts,
        {number: said for number, said in refusals.items() if verdicts[number].outcome is REJECTED},
        next((said for said in complaints if said.is_about_setup), None),
    )


def refused(parcel: Parcel, said: Complaint) -> Verdict:
    """The verdict on a contact that HubSpot complained of: rejected, unless trying again may help."""
    if said.is_about_setup or said.is_temporary:
        return deferred(parcel, f"HubSpot could not take this contact now ({said.code}).")
    if parcel.record is not None and said.is_about_missing:
        return lost(parcel)
    return Verdict(
        parcel.contact_id,
        REJECTED,
        reason=said.reason,
        code=said.code,
        correlation_id=said.correlation_id,
        final=said.is_final_for(parcel.id_value),
    )


def confirmed(parcel: Parcel, result: Mapping[str, Any]) -> Verdict:
    """The verdict on a contact that ``result`` shows to be in HubSpot now."""
    new = result.get("new")
    if parcel.record is not None:
        new = False
    elif not isinstance(new, bool):
        new = not parcel.known
    return Verdict(parcel.contact_id, CREATED if new else UPDATED, record_in(result))


def lost(parcel: Parcel) -> Verdict:
    """The record is not there any more; nothing is said yet of the contact, which may be under its key."""
    if parcel.id_property == RECORD_ID:
        return gone(parcel)
    return Verdict(parcel.contact_id, DEFERRED, reason="Its record is not there any more.", lost=True)


def deferred(parcel: Parcel, reason: str) -> Verdict:
    """Nothing is known of this contact; it goes again as it went."""
    return Verdict(parcel.contact_id, DEFERRED, reason=reason)


def unanswered(parcel: Parcel) -> Verdict:
    """The answer left this contact out; next time it goes alone, so that the answer can only mean it."""
    return Verdict(parcel.contact_id, DEFERRED, reason=UNANSWERED, unanswered=True)


def normalised(id_property: str, value: str) -> str:
    """``value`` as HubSpot compares it."""
    return value.strip().lower() if id_property == EMAIL else value.strip()


def _by_identity(parcels: Iterable[Parcel]) -> dict[tuple[str, str], Parcel]:
    return {_identity(each): each for each in parcels}


def _identity(parcel: Parcel) -> tuple[str, str]:
    """The property by which HubSpot is asked for a contact, and its value."""
    if parcel.record is not None:
        return RECORD_ID, parcel.record
    return parcel.id_property, normalised(parcel.id_property, parcel.id_value)


def _by_trace(
    mine: Mapping[str, int], results: Iterable[Any]
) -> tuple[dict[int, _Result], list[_Result], int]:
    """The first result for each contact, the results without a trace id, and how many are nobody's."""
    taken: dict[int, _Result] = {}
    untraced: list[_Result] = []
    unknown = 0
    for result in results:
        trace = result.get("objectWriteTraceId") if isinstance(result, dict) else ""
        if trace is None:
            untraced.append(result)
        elif (contact_id := mine.get(str(trace))) is not None:
            taken.setdefault(contact_id, result)
        else:
            unknown += 1
    return taken, untraced, unknown


def _by_property(
    held: Mapping[tuple[str, str], Parcel], results: Sequence[_Result], *, settled: AbstractSet[int]
) -> tuple[dict[int, _Result], list[_Result]]:
    """The contacts whose unique property a result holds, those first of which nothing else is said.

    Two contacts of ours may be one of HubSpot's; then it takes as many results to confirm both. What names
    nobody, or too few, is left.
    """
    groups: dict[frozenset[int], list[_Result]] = {}
    for result in results:
        named = {held[pair].contact_id for pair in identities(result) if pair in held}
        groups.setdefault(frozenset(named - settled or named), []).append(result)
    taken: dict[int, _Result] = {}
    left: list[_Result] = []
    for contact_ids, matching in groups.items():
        if contact_ids and len(matching) >= len(contact_ids):
            taken.update(zip(sorted(contact_ids), matching, strict=False))
        else:
            left += matching
    return taken, left


def _identified_by(said: Complaint, held: Mapping[tuple[str, str], Parcel]) -> set[int]:
    """The contacts that the context names as such; its other values may be anybody's."""
    properties = {name for name, _ in held}
    pairs = (
        (name, normalised(name, value))
        for key, value in said.identities
        for name in (properties if key in {"id", "ids"} else properties & {key})
    )
    return {held[pair].contact_id for pair in pairs if pair in held}


def identities(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A result's id, every property that is a text, and its further addresses, as HubSpot compares them."""
    if (record := record_in(result)) is not None:
        yield RECORD_ID, record
    for name, value in properties_in(result).items():
        if not isinstance(value, str):
            continue
        yield name, normalised(name, value)
        if name == OTHER_EMAILS:
            yield from ((EMAIL, normalised(EMAIL, address)) for address in value.split(";"))


def keys_in(result: Mapping[str, Any], visitor_id: str) -> Iterator[ContactKey]:
    """What leads to a result: its addresses, its visitor id, and the records that were merged into it."""
    for name, value in identities(result):
        if name == EMAIL and value:
            yield ContactKey(ContactKind.EMAIL, value)
        elif name == visitor_id and value:
            yield ContactKey(ContactKind.VISITOR, value)
        elif name == MERGED:
            yield from (ContactKey(ContactKind.RECORD, each.strip()) for each in value.split(";"))


def _verdict(
    parcel: Parcel, result: _Result | None, said: Complaint | None, passing: Complaint | None
) -> Verdict:
    """``passing`` is what HubSpot says to have failed for a while, without a word on whose."""
    if result is not None and said is not None:
        return Verdict(parcel.contact_id, DEFERRED, reason=_CONTRADICTED, unanswered=True)
    if result is not None:
        return confirmed(parcel, result)
    said = said or passing
    return refused(parcel, said) if said else unanswered(parcel)


def _may_be(parcel: Parcel, result: _Result) -> bool:
    """Whether ``result`` is a contact, and none that is known to be another than ``parcel``'s.

    An address may differ, where it is the contact's primary one; a unique value of ours may not.
    """
    held = properties_in(result).get(parcel.id_property)
    by_key = parcel.record is None and parcel.id_property != EMAIL
    contradicts = by_key and bool(held) and held != parcel.id_value
    return record_in(result) is not None and not contradicts


def properties_in(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The properties that a result shows; none where they cannot be read."""
    found = result.get("properties")
    return found if isinstance(found, dict) else {}


def texts_in(result: Mapping[str, Any]) -> dict[str, str]:
    """The properties of a result that have a value."""
    return {name: text for name, text in properties_in(result).items() if isinstance(text, str) and text}


def record_in(result: Mapping[str, Any]) -> str | None:
    """The id of the record that a result shows; None where it has none that can be one."""
    value = result.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value.isascii() and value.isalnum() else None
