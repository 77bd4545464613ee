"""Delivering due contacts to HubSpot: batches in, one verdict per contact out."""

from __future__ import annotations

import logging
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.errors import SyncError
from etl.load.complaints import Complaint
from etl.load.records import archive
from etl.load.side import HubSpotSide
from etl.load.statuses import complaint_in, object_of, results_of
from etl.load.verdicts import BatchAnswer, deferred, read_verdicts, refused
from etl.models.contact import NAMES
from etl.models.verdict import REJECTED, TAKEN, Delivery, Verdict
from etl.pipeline.refusals import Refusals
from etl.retry import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.clock import Clock
    from etl.load.client import HubSpotClient
    from etl.load.properties import WantedProperty
    from etl.models.contact import Parcel
    from etl.models.record import ShownContact
    from etl.network.reply import Reply

log = logging.getLogger(__name__)

_TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
_WHOLE_BATCH = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, _TOO_LARGE})


class HubSpotContacts(HubSpotSide):
    """Looks for contacts, updates and upserts them.

    ``deliver`` may be called by several threads at once, with disjoint batches.
    """

    def __init__(
        self,
        client: HubSpotClient,
        properties: Sequence[WantedProperty],
        *,
        clock: Clock,
        verified: bool = False,
        max_rejected: float = 1.0,
    ) -> None:
        """Refused batches are not halved further once more than ``max_rejected`` (a share) are rejected."""
        super().__init__(client, properties, clock=clock, verified=verified)
        self._refusals = Refusals(max_rejected, self.too_many_refused)

    def deliver(self, batch: Sequence[Parcel]) -> Delivery:
        """One verdict per parcel of ``batch`` (at most 100, no id twice, all of one way), in its order.

        Never raises SyncError: what keeps parcels from being answered is the ``stop`` of the delivery, and
        those parcels are deferred as they were.
        """
        started = self._clock.monotonic()
        work = _Work(batch)
        self._refusals.ask(len(batch))
        stop: SyncError | None = None
        try:
            self._setup.before_first()
            while part := work.next_part():
                self._send(part, work)
        except SyncError as error:
            stop = error
        delivery = Delivery(work.verdicts(stop), stop)
        _log(delivery, elapsed_s=self._clock.monotonic() - started)
        return delivery

    def archive(self, records: Sequence[str]) -> None:
        """Put records (at most 100) into the recycle bin. Raises SyncError."""
        archive(self._client, records)

    def _send(self, part: Sequence[Parcel], work: _Work) -> None:
        way = part[0].way
        answer = self._client.send(
            "POST",
            f"{self._client.contacts_path}/batch/{way}",
            body={"inputs": [_input(parcel) for parcel in part]},
            read=_answer,
            expects=_WHOLE_BATCH,
            where=f"HubSpot batch/{way}",
        )
        if not isinstance(answer, Complaint):
            self._take(read_verdicts(part, answer), part, work)
        elif answer.is_about_setup:
            raise self._setup.disprove(answer)
        elif len(part) > 1:
            work.split(part)
        else:
            alone = part[0]
            verdict = refused(alone, answer)
            refusals = {alone.contact_id: answer} if verdict.outcome is REJECTED else {}
            self._take(BatchAnswer({alone.contact_id: verdict}, refusals), part, work)

    def _take(self, answer: BatchAnswer, part: Sequence[Parcel], work: _Work) -> None:
        """Believe confirmations at once, and rejections only of a HubSpot that is set up rightly."""
        rejected = [parcel for parcel in part if parcel.contact_id in answer.refusals]
        work.record(each for each in answer.verdicts.values() if each.contact_id not in answer.refusals)
        self._meet_kin(part, work)
        if answer.wrong_setup is not None:
            raise self._setup.disprove(answer.wrong_setup)
        if rejected:
            self._setup.examine()
        unnamed = self._unnamed(
            [each for each in rejected if _lacks_a_name(each, answer.refusals[each.contact_id])]
        )
        final = []
        for parcel in rejected:
            if parcel.contact_id in unnamed:
                work.name(parcel)
            else:
                final.append(self._without_secrets(answer.verdicts[parcel.contact_id]))
        work.record(final)
        too_many = self._refusals.weigh(final)
        if too_many and work.is_halved:
            raise too_many

    def _unnamed(self, parcels: Sequence[Parcel]) -> set[int]:
        """Those of whom HubSpot holds no name, so that none that a person typed is written over.

        Raises SyncError.
        """
        found: set[int] = set()
        for by in {parcel.found_by[0] for parcel in parcels}:
            asked = [parcel._replace(asks=NAMES) for parcel in parcels if parcel.found_by[0] == by]
            sight = self._read(asked)
            nameless = {number for number, shown in sight.found.items() if not _has_a_name(shown)}
            found |= sight.missing | nameless
        return found

    def _meet_kin(self, part: Sequence[Parcel], work: _Work) -> None:
        """Ask what else leads to records that came back under another id: they were merged."""
        said = (work.said_of(parcel) for parcel in part if parcel.record is not None)
        known = {parcel.contact_id: parcel for parcel in part}
        merged = [each for each in said if each and each.is_new_to(known[each.contact_id])]
        kin = self._kin_of({str(verdict.record) for verdict in merged})
        work.record(each._replace(kin=kin.get(str(each.record), ())) for each in merged)

    def _without_secrets(self, verdict: Verdict) -> Verdict:
        return verdict._replace(reason=self._client.without_secrets(verdict.reason or ""))


class _Work:
    """What is still to be sent of one batch, and the verdicts so far."""

    def __init__(self, batch: Sequence[Parcel]) -> None:
        self._batch = batch
        self._parts: list[Sequence[Parcel]] = [batch] if batch else []
        self._nameless: list[Parcel] = []
        self._verdicts: dict[int, Verdict] = {}
        self.is_halved = False

    def next_part(self) -> Sequence[Parcel]:
        """The parcels of the next request, those without a name last and together; empty at the end."""
        if not self._parts and self._nameless:
            self._parts, self._nameless = [self._nameless], []
        return self._parts.pop() if self._parts else ()

    def said_of(self, parcel: Parcel) -> Verdict | None:
        """The last verdict on a parcel, if there is one."""
        return self._verdicts.get(parcel.contact_id)

    def split(self, part: Sequence[Parcel]) -> None:
        """Send ``part`` again in halves, the first half first."""
        self.is_halved = True
        middle = len(part) // 2
        self._parts += [part[middle:], part[:middle]]

    def name(self, parcel: Parcel) -> None:
        """Send ``parcel`` once more with a name; the second verdict will count."""
        named = {**parcel.name_properties, **parcel.properties}
        self._nameless.append(parcel._replace(properties=named, name_properties={}))

    def record(self, verdicts: Iterable[Verdict]) -> None:
        self._verdicts.update((verdict.contact_id, verdict) for verdict in verdicts)

    def verdicts(self, stop: SyncError | None) -> tuple[Verdict, ...]:
        """One verdict per parcel of the batch; those not answered are deferred for the sake of ``stop``."""
        why = stop.what if stop else "HubSpot was not asked."
        return tuple(self._verdicts.get(parcel.contact_id) or deferred(parcel, why) for parcel in self._batch)


def _input(parcel: Parcel) -> dict[str, Any]:
    """With a trace id of its own on every input one bad row does not fail the others.

    "Multi-status errors" in https://developers.hubspot.com/docs/api-reference/error-handling
    """
    traced = {"objectWriteTraceId": str(parcel.contact_id), "properties": parcel.properties}
    if parcel.record is not None:
        return {"id": parcel.record, **traced}
    return {"id": parcel.id_value, "idProperty": parcel.id_property, **traced}


def _answer(reply: Reply) -> Mapping[str, Any] | Complaint:
    """The body of a 2xx, or what HubSpot has against the whole batch."""
    if reply.ok:
        return results_of(reply)
    if reply.status != _TOO_LARGE:  # a proxy may say 413 in HTML; the others have to come from HubSpot
        object_of(reply)
    said = complaint_in(reply)
    if said.is_temporary:
        raise TransientError(f"HubSpot answered {reply.status}, {said.code}")
    return said


def _has_a_name(shown: ShownContact) -> bool:
    return any(shown.properties.get(name) for name in NAMES)


def _lacks_a_name(parcel: Parcel, said: Complaint) -> bool:
    unnamed = not parcel.name_properties.keys() <= parcel.properties.keys()
    return unnamed and said.misses_a_name(parcel.id_value)


def _log(delivery: Delivery, *, elapsed_s: float) -> None:
    """One line about a batch of which HubSpot did not take everything."""
    counts = Counter(verdict.outcome for verdict in delivery.verdicts)
    if not delivery.stop and counts.keys() <= {*TAKEN}:
        return
    traces = sorted({verdict.correlation_id for verdict in delivery.verdicts if verdict.correlation_id})
    facts: dict[str, Any] = {
        "contacts": {outcome.value: count for outcome, count in counts.items()},
        "elapsed_s": round(elapsed_s, 3),
    }
    if traces:
        facts["correlation_ids"] = traces[:10]
    if delivery.stop:
        facts["stop"] = delivery.stop.what
    log.log(
        logging.WARNING if delivery.stop else logging.INFO,
        "batch delivered",
        extra={"action": "batch_delivered", **facts},
    )
