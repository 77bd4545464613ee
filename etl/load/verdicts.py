"""Which contact each entry of HubSpot's answer belongs to, and what it says of it. Pure.

The order of an answer is not the order of the request, entries may lack the trace id, and a contact found
through a secondary address comes back under its primary one. So an entry counts for a contact only if it
names the contact, or if nothing else is left that it could mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from etl.load.complaints import Complaint, complaint
from etl.models.verdict import CREATED, DEFERRED, REJECTED, UPDATED, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.models.contact import Parcel

EMAIL = "email"
OTHER_EMAILS = "hs_additional_emails"
UNANSWERED = "HubSpot's answer did not say what became of this contact."
_CONTRADICTED = "HubSpot's answer both confirmed and refused this contact."


@dataclass(frozen=True, slots=True)
class Reading:
    """One verdict per parcel, by contact id.

    ``refusals`` holds what HubSpot said against each rejected contact, and ``wrong_setup`` a complaint that
    concerns no contact in particular; the contacts that it hit are then deferred.
    """

    verdicts: dict[int, Verdict]
    refusals: dict[int, Complaint] = field(default_factory=dict)
    wrong_setup: Complaint | None = None


def read_verdicts(parcels: Sequence[Parcel], body: Mapping[str, Any]) -> Reading:
    """What a 200 or 207 says of each of ``parcels``. Never raises, whatever the shape of ``body``."""
    results, errors = _listed(body.get("results")), _listed(body.get("errors"))
    trace = body.get("correlationId")
    complaints = [complaint(error, body_correlation_id=trace) for error in errors]
    matched = _Matching(parcels)
    matched.results_by_trace(results)
    matched.complaints_by_trace(complaints)
    matched.results_by_property()
    matched.complaints_by_identity()
    matched.by_elimination()
    return matched.reading(next((each for each in complaints if each.is_about_setup), None))


def refused(parcel: Parcel, said: Complaint) -> Verdict:
    """The verdict on a contact that HubSpot complained of: rejected, unless trying again may help."""
    if said.is_about_setup or said.is_temporary:
        return deferred(parcel, f"HubSpot could not take this contact now ({said.code}).")
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
    if not isinstance(new, bool):
        new = not parcel.known
    return Verdict(parcel.contact_id, CREATED if new else UPDATED, _hubspot_id(result.get("id")))


def deferred(parcel: Parcel, reason: str) -> Verdict:
    """Nothing is known of this contact; it goes again as it went."""
    return Verdict(parcel.contact_id, DEFERRED, reason=reason)


def unanswered(parcel: Parcel) -> Verdict:
    """The answer left this contact out; next time it goes alone, so that the answer can only mean it."""
    return Verdict(parcel.contact_id, DEFERRED, reason=UNANSWERED, unanswered=True)


def normalised(id_property: str, value: str) -> str:
    """``value`` as HubSpot compares it."""
    return value.strip().lower() if id_property == EMAIL else value.strip()


class _Matching:
    """The state of matching one answer: what each parcel got, and which entries are still nobody's."""

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self._by_trace = {str(parcel.contact_id): parcel for parcel in parcels}
        self._parcels = parcels
        self._results: dict[int, Mapping[str, Any]] = {}
        self._complaints: dict[int, Complaint] = {}
        self._loose_results: list[Mapping[str, Any]] = []
        self._loose_complaints: list[Complaint] = []
        self._strays = 0

    @cached_property
    def _by_identity(self) -> dict[tuple[str, str], Parcel]:
        return {_identity(parcel): parcel for parcel in self._parcels}

    @cached_property
    def _id_properties(self) -> set[str]:
        return {parcel.id_property for parcel in self._parcels}

    def results_by_trace(self, results: Iterable[Any]) -> None:
        for result in results:
            if not isinstance(result, dict):
                self._strays += 1
                continue
            trace = result.get("objectWriteTraceId")
            if trace is None:
                self._loose_results.append(result)
            elif (parcel := self._by_trace.get(str(trace))) is not None:
                self._results.setdefault(parcel.contact_id, result)
            else:
                self._strays += 1

    def complaints_by_trace(self, complaints: Iterable[Complaint]) -> None:
        for each in complaints:
            if not each.trace_ids:
                self._loose_complaints.append(each)
                continue
            parcels = [self._by_trace[trace] for trace in each.trace_ids if trace in self._by_trace]
            self._strays += not parcels
            for parcel in parcels:
                self._complaints.setdefault(parcel.contact_id, each)

    def results_by_property(self) -> None:
        """Two contacts of ours may be one of HubSpot's; then it takes as many results to confirm both."""
        groups: dict[frozenset[int], list[Mapping[str, Any]]] = {}
        loose, self._loose_results = self._loose_results, []
        for result in loose:
            named = self._named_by(result)
            waiting = [contact_id for contact_id in named if self._is_open(contact_id)]
            groups.setdefault(frozenset(waiting or named), []).append(result)
        for contact_ids, results in groups.items():
            if not contact_ids or len(results) < len(contact_ids):
                self._loose_results += results
                continue
            for contact_id, result in zip(sorted(contact_ids), results, strict=False):
                self._results.setdefault(contact_id, result)

    def complaints_by_identity(self) -> None:
        loose, self._loose_complaints = self._loose_complaints, []
        for each in loose:
            named = self._identified_by(each)
            if len(named) == 1 and self._is_open(contact_id := named.pop()):
                self._complaints[contact_id] = each
            else:
                self._loose_complaints.append(each)

    def by_elimination(self) -> None:
        """Give the last entry to the last contact, if there is no other way to read the answer."""
        if not self._loose_results and not self._loose_complaints:
            return
        left = [parcel for parcel in self._by_trace.values() if self._is_open(parcel.contact_id)]
        if len(left) != 1 or self._strays or len(self._loose_results) + len(self._loose_complaints) != 1:
            return
        if self._loose_complaints:
            self._complaints[left[0].contact_id] = self._loose_complaints.pop()
        elif _may_be(left[0], self._loose_results[0]):
            self._results[left[0].contact_id] = self._loose_results.pop()

    def reading(self, wrong_setup: Complaint | None) -> Reading:
        verdicts = {parcel.contact_id: self._verdict(parcel) for parcel in self._by_trace.values()}
        refusals = {
            contact_id: said
            for contact_id, said in self._complaints.items()
            if verdicts[contact_id].outcome is REJECTED
        }
        return Reading(verdicts, refusals, wrong_setup)

    def _verdict(self, parcel: Parcel) -> Verdict:
        result, said = self._results.get(parcel.contact_id), self._complaints.get(parcel.contact_id)
        if result is not None and said is not None:
            return Verdict(parcel.contact_id, DEFERRED, reason=_CONTRADICTED, unanswered=True)
        if result is not None:
            return confirmed(parcel, result)
        if said is not None:
            return refused(parcel, said)
        if self._loose_complaints and all(each.is_temporary for each in self._loose_complaints):
            return refused(parcel, self._loose_complaints[0])
        return unanswered(parcel)

    def _is_open(self, contact_id: int) -> bool:
        return contact_id not in self._results and contact_id not in self._complaints

    def _named_by(self, result: Mapping[str, Any]) -> set[int]:
        """The contacts whose unique property ``result`` holds."""
        properties = result.get("properties")
        if not isinstance(properties, dict):
            return set()
        pairs = [(name, properties.get(name)) for name in self._id_properties]
        others = properties.get(OTHER_EMAILS)
        pairs += [(EMAIL, address) for address in (others.split(";") if isinstance(others, str) else [])]
        return self._known(pairs)

    def _identified_by(self, said: Complaint) -> set[int]:
        """The contacts that the context names as such; its other values may be anybody's."""
        return self._known(
            (name, value)
            for key, value in said.identities
            for name in (self._id_properties if key in {"id", "ids"} else self._id_properties & {key})
        )

    def _known(self, pairs: Iterable[tuple[str, Any]]) -> set[int]:
        identities = ((name, normalised(name, value)) for name, value in pairs if isinstance(value, str))
        return {self._by_identity[each].contact_id for each in identities if each in self._by_identity}


def _may_be(parcel: Parcel, result: Mapping[str, Any]) -> bool:
    """Whether ``result`` is a contact, and none that is known to be another than ``parcel``'s.

    An address may differ, where it is the contact's primary one; a unique value of ours may not.
    """
    properties = result.get("properties")
    held = properties.get(parcel.id_property) if isinstance(properties, dict) else None
    contradicts = parcel.id_property != EMAIL and bool(held) and held != parcel.id_value
    return _hubspot_id(result.get("id")) is not None and not contradicts


def _identity(parcel: Parcel) -> tuple[str, str]:
    return parcel.id_property, normalised(parcel.id_property, parcel.id_value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _hubspot_id(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value.isascii() and value.isalnum() else None
