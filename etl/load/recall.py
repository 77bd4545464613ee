"""What properties of contacts held before, as HubSpot's history has it.

batch/read gives the history of at most 50 records a request:
https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch/post-crm-v3-objects-contacts-batch-read
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.errors import SyncError
from etl.load.complaints import listed
from etl.load.lookup import instant_in, presence, read_contacts, read_well
from etl.load.verdicts import record_in
from etl.models.contact import RECORD_ID
from etl.models.record import Version
from etl.models.verdict import Recollection, Sight

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from etl.clock import Clock
    from etl.load.client import HubSpotClient
    from etl.load.setup_check import SetupCheck
    from etl.models.contact import Parcel

AT_ONCE = 50


class Memory:
    """Reads the history of records, and gathers what it says."""

    def __init__(self, client: HubSpotClient, setup: SetupCheck, *, clock: Clock) -> None:
        self._client = client
        self._setup = setup
        self._clock = clock
        self._sight = Sight({})
        self._versions: dict[int, Mapping[str, tuple[Version, ...]]] = {}
        self._ahead = timedelta(0)

    def recall(self, batch: Sequence[Parcel]) -> Recollection:
        """Of parcels with a record each, all that they ask. Never raises SyncError: that is the ``stop``."""
        stop: SyncError | None = None
        try:
            self._setup.before_first()
            for start in range(0, len(batch), AT_ONCE):
                read_well(batch[start : start + AT_ONCE], self._read)
        except SyncError as error:
            stop = error
        return Recollection(replace(self._sight, stop=stop), self._versions, self._ahead)

    def _read(self, part: Sequence[Parcel]) -> Sight:
        names = {name for parcel in part for name in parcel.asks or ()}
        records = [str(parcel.record) for parcel in part]
        answer = read_contacts(self._client, RECORD_ID, records, properties=names, with_history=names)
        body = self._setup.believed(answer)
        if completed := instant_in(body.get("completedAt")):
            self._ahead = completed - self._clock.now()
        sight = presence(part, body)
        results = (each for each in listed(body.get("results")) if isinstance(each, dict))
        past = {record_in(each): _versions(each) for each in results}
        self._versions |= {number: past.get(shown.record, {}) for number, shown in sight.found.items()}
        self._sight = self._sight.beside(sight)
        return sight


def _versions(result: Mapping[str, Any]) -> dict[str, tuple[Version, ...]]:
    """By property, the latest first, whatever order HubSpot lists them in; none that cannot be read."""
    histories = result.get("propertiesWithHistory")
    if not isinstance(histories, dict):
        return {}
    return {
        name: tuple(sorted(_readable(entries), key=lambda version: version.at, reverse=True))
        for name, entries in histories.items()
    }


def _readable(entries: Any) -> Iterator[Version]:
    for entry in listed(entries):
        at = instant_in(entry.get("timestamp")) if isinstance(entry, dict) else None
        if at is not None:
            yield Version(str(entry.get("value") or ""), at, _source(entry))


def _source(entry: Mapping[str, Any]) -> str | None:
    """Who wrote it: the kind of it, and which one."""
    kind = entry.get("sourceType")
    return f"{kind} {entry.get('sourceId')}" if isinstance(kind, str) and kind else None
