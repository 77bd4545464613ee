"""``forget``: erase people from the state, and from HubSpot where that is wanted."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
import orjson

from etl.cli import logs
from etl.cli.derived import state_url
from etl.cli.keys import given_keys, readings
from etl.cli.people import say
from etl.cli.stopping import stoppable
from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.load.erasure import erase_address, erase_record
from etl.load.words import HubSpotWords
from etl.models.contact import EMAIL, RECORD, VISITOR, ContactKey
from etl.models.erasure import Holdings, Person
from etl.pipeline.books import Books
from etl.pipeline.forgetting import forget, found, is_known, joined
from etl.settings import load_hubspot, load_shared, load_sync
from etl.state.store import Store, open_state, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.load.client import HubSpotClient
    from etl.models.portal import Owner
    from etl.settings import HubSpotSettings, SyncSettings
    from etl.state.store import Transaction


@dataclass(frozen=True, slots=True)
class _Found:
    """A key as it was given, whom it leads to, and how much the state holds of them."""

    text: str
    person: Person
    holdings: Holdings
    known: bool

    @property
    def records(self) -> list[str]:
        """The records that are this person's. What the state does not know may be the id of one."""
        unknown = () if self.known else (record for record in self.person.records if record.isdecimal())
        return sorted({*self.person.owned, *unknown})

    @property
    def addresses(self) -> list[str]:
        """What leads to the person in HubSpot where no record is known."""
        return sorted(self.person.unrecorded)

    def as_object(self) -> dict[str, Any]:
        counts = asdict(self.holdings) | {"records": len(self.person.owned)}
        return {"key": self.text, "known": self.known, **counts}


def forget_people(given: Sequence[str], *, in_hubspot: bool, dry_run: bool, as_json: bool) -> int:
    """Erase whom the keys lead to, and say how much that was. Returns the exit code.

    Raises SyncError: then nothing was erased from the state, but for a LockedError that says so.
    """
    keys = given_keys(given)
    clock = SystemClock()
    hubspot, sync = load_hubspot() if in_hubspot else (None, load_sync())
    logs.configure(sync.log_format, [hubspot.access_token.get_secret_value()] if hubspot else [])
    people = _looked_up(keys, sync, clock) if dry_run else _forget(keys, hubspot, sync, clock)
    if as_json:
        listed = [each.as_object() for each in people]
        click.echo(orjson.dumps({"forgotten": listed, "in_hubspot": in_hubspot, "dry_run": dry_run}))
        return 0
    for each in people:
        say(_sentence(each, in_hubspot=in_hubspot, dry_run=dry_run))
    return 0


def _looked_up(keys: Sequence[str], sync: SyncSettings, clock: SystemClock) -> list[_Found]:
    with read_state(state_url(sync), clock) as state:
        return _find(keys, state)


def _find(keys: Sequence[str], state: Transaction | None) -> list[_Found]:
    if state is None:
        return [_Found(text, _stranger(text), Holdings(), known=False) for text in keys]
    people = [found(_meant(text, state), state) for text in keys]
    joined(people, state)
    return [
        _Found(text, person, state.erasure.holdings(person), known=is_known(person, state))
        for text, person in zip(keys, people, strict=True)
    ]


def _meant(text: str, state: Transaction) -> set[ContactKey]:
    """What ``text`` is a key of in the state; else an address if it looks like one, or either kind of id."""
    known = {key for key in readings(text) if is_known(found({key}, state), state)}
    return known or _likely(text)


def _likely(text: str) -> set[ContactKey]:
    if "@" in text:
        return {ContactKey(EMAIL, text.lower())}
    return {ContactKey(VISITOR, text), ContactKey(RECORD, text)}


def _stranger(text: str) -> Person:
    person = Person()
    person.add(_likely(text))
    person.unrecorded |= person.addresses
    return person


def _forget(
    keys: Sequence[str], hubspot: HubSpotSettings | None, sync: SyncSettings, clock: SystemClock
) -> list[_Found]:
    """HubSpot first: what it has not done can be asked for again as long as the state knows the records."""
    with open_state(state_url(sync), clock) as connection:
        store = Store(connection, clock=clock, anonymous=sync.anonymous != "skip")
        with store.locked():
            with store.reading() as state:
                people, owner = _find(keys, state), state.ownership.owner()
            if hubspot:
                with _opened(hubspot, clock) as client:
                    _prove_portal(owner, client)
                    _erase_in_hubspot(people, client)
            with store.transaction() as state:
                forget([each.person for each in people], synced=sync.synced, state=state, books=Books())
            store.scrub()
    return people


@contextmanager
def _opened(settings: HubSpotSettings, clock: SystemClock) -> Iterator[HubSpotClient]:
    from etl.cli.wiring import hubspot_beside  # noqa: PLC0415 -- 100 ms of imports

    with stoppable(clock), hubspot_beside(settings, clock, load_shared()) as client:
        yield client


def _prove_portal(owner: Owner | None, client: HubSpotClient) -> None:
    """Raises SettingsError unless the records that the state knows are those of the token's portal."""
    from etl.load.portal import read_portal  # noqa: PLC0415 -- as above

    if owner is None or (owner.credential == client.credential and not owner.released):
        return
    met = read_portal(client)
    if owner.portal and met and owner.portal.id != met.id:
        raise HubSpotWords.other_portal(owner.portal, met)
    if not (owner.portal and met):
        raise SettingsError(
            "HUBSPOT_ACCESS_TOKEN is not the one of the last run, and it is not known whether it opens the"
            " same portal: what is deleted there is gone for good.",
            fix="Run visitor-sync run once with this token, then forget again.",
        )


def _erase_in_hubspot(people: Sequence[_Found], client: HubSpotClient) -> None:
    for record in dict.fromkeys(record for each in people for record in each.records):
        erase_record(client, record)
    for address in dict.fromkeys(address for each in people for address in each.addresses):
        erase_address(client, address)


def _sentence(each: _Found, *, in_hubspot: bool, dry_run: bool) -> str:
    holdings, records = each.holdings, len(each.person.owned)
    if not each.known:
        away = "would stay away" if dry_run else "stays away from now on"
        return f"{each.text}: the state knows nothing of it; it {away}"
    done = "would be erased" if dry_run else "erased"
    there = ("would be deleted" if dry_run else "deleted") if in_hubspot else "left as they are"
    return (
        f"{each.text}: {holdings.visitors} visitors, {holdings.contacts} contacts, {holdings.rejections}"
        f" rejections {done}; {records} records in HubSpot {there}"
    )
