"""What HubSpot holds of a contact now: one request, and one for the portal where the token is another."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.cli import wiring
from etl.cli.beside import PATIENCE, SharedPace
from etl.cli.derived import state_url
from etl.errors import SettingsError, SyncError, UnavailableError
from etl.load.portal import read_portal
from etl.load.preview import Preview
from etl.load.words import HubSpotWords
from etl.pipeline.ownership import recognise
from etl.state.limits import account
from etl.state.store import Store, open_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.cli.explaining.reading import Findable
    from etl.clock import SystemClock
    from etl.load.client import HubSpotClient, Slots
    from etl.models.contact import Parcel
    from etl.models.portal import Owner
    from etl.models.record import ShownContact
    from etl.models.verdict import Sight
    from etl.settings import HubSpotSettings, SyncSettings

HUBSPOT = "hubspot"


@dataclass(frozen=True, slots=True)
class Shown:
    """What HubSpot said of a contact. ``sight`` is None where it was not asked, ``error`` why it did not say.

    ``doubt`` is what is not sure of whose portal it is.
    """

    sight: Sight | None = None
    error: SyncError | None = None
    doubt: str | None = None

    @property
    def is_told(self) -> bool:
        """Whether HubSpot has said what it holds, be it nothing."""
        return bool(self.sight and (self.sight.found or self.sight.missing))

    @property
    def contact(self) -> ShownContact | None:
        """The record that was found."""
        return next(iter(self.sight.found.values()), None) if self.sight else None

    @property
    def properties(self) -> Mapping[str, str] | None:
        """The values that it holds; None where that is not known."""
        if not self.is_told:
            return None
        return self.contact.properties if self.contact else {}


NOT_ASKED = Shown()


def account_of(hubspot: HubSpotSettings | None) -> dict[str, str]:
    """A name for our account at HubSpot."""
    return {HUBSPOT: account(hubspot.access_token.get_secret_value())} if hubspot else {}


def ask(
    parcel: Parcel, found: Findable, hubspot: HubSpotSettings, sync: SyncSettings, clock: SystemClock
) -> Shown:
    """What HubSpot holds of all that ``parcel`` asks. What keeps it from being known is an ``error``."""
    try:
        _raise_if_stopped(found)
        with _opened(found, hubspot, sync, clock) as client:
            doubt = _doubt(found.owner, client)
            wanted = wiring.wanted_of(sync)
            sight = Preview(client, wanted, clock=clock, verified=True).look_for([parcel])
    except SyncError as error:
        return Shown(error=error)
    if sight.stop is None and not (sight.found or sight.missing):
        return Shown(sight, UnavailableError("HubSpot did not say whether it has this contact."), doubt)
    return Shown(sight, sight.stop, doubt)


def _raise_if_stopped(found: Findable) -> None:
    """Raises UnavailableError while nothing is to be asked of HubSpot."""
    for api, stop in found.stops:
        if api == HUBSPOT:
            raise UnavailableError(str(stop), fix="Nothing is lost; try again after that.", until=stop.until)


@contextmanager
def _opened(
    found: Findable, hubspot: HubSpotSettings, sync: SyncSettings, clock: SystemClock
) -> Iterator[HubSpotClient]:
    with wiring.stoppable(clock), _pace(found, hubspot, sync, clock) as pace:
        client = wiring.hubspot_client(hubspot, clock, pace, PATIENCE)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def _pace(
    found: Findable, hubspot: HubSpotSettings, sync: SyncSettings, clock: SystemClock
) -> Iterator[Slots]:
    """The limit that runs keep, too. One that goes on is told of each request; else nothing is written."""
    if not found.is_busy:
        pace = wiring.hubspot_pace(hubspot, clock)
        pace.restore(found.sent, stated=found.stated)
        yield pace
        return
    with open_state(state_url(sync), clock) as connection:
        store = Store(connection, clock=clock, accounts=account_of(hubspot))
        yield SharedPace(
            store,
            clock,
            api=HUBSPOT,
            pace=lambda: wiring.hubspot_pace(hubspot, clock),
            unlogged=hubspot.concurrency,
        )


def _doubt(owner: Owner | None, client: HubSpotClient) -> str | None:
    """What is not sure of whose portal the token opens. Raises SettingsError for another one than before."""
    if owner is None or (owner.credential == client.credential and not owner.released):
        return None
    met = read_portal(client)
    recognition = recognise(owner, met=met, credential=client.credential, words=HubSpotWords())
    if recognition.anew:
        raise SettingsError(
            "The state was released by visitor-sync resync, and HUBSPOT_ACCESS_TOKEN opens another portal"
            " than before: nothing is known of that one yet.",
            fix="The next run begins anew there.",
        )
    return recognition.doubt
