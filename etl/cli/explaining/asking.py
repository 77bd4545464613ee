"""What HubSpot holds of a contact now: one request, and one for the portal where the token is another."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.cli import wiring
from etl.cli.beside import PATIENCE, SharedPace
from etl.cli.derived import state_url
from etl.cli.stopping import stoppable
from etl.errors import SettingsError, SyncError, UnavailableError
from etl.load.portal import read_portal
from etl.load.preview import Preview
from etl.load.words import HubSpotWords
from etl.pipeline.explaining import looked_for_again
from etl.pipeline.ownership import recognise
from etl.settings import load_shared
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
    """What HubSpot said of a contact, look after look; none where it was not asked.

    ``error`` is why it did not say it, ``doubt`` what is not sure of whose portal it is.
    """

    sights: tuple[Sight, ...] = ()
    error: SyncError | None = None
    doubt: str | None = None

    @property
    def is_told(self) -> bool:
        """Whether HubSpot has said what it holds, be it nothing."""
        return bool(self.sights and (self.sights[-1].found or self.sights[-1].missing))

    @property
    def contact(self) -> ShownContact | None:
        """The record that was found."""
        return next(iter(self.sights[-1].found.values()), None) if self.sights else None

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
            sights = _looks(parcel, Preview(client, wanted, clock=clock, verified=True))
    except SyncError as error:
        return Shown(error=error)
    shown = Shown(sights, sights[-1].stop, doubt)
    if shown.is_told or shown.error:
        return shown
    return replace(shown, error=UnavailableError("HubSpot did not say whether it has this contact."))


def _looks(parcel: Parcel, side: Preview) -> tuple[Sight, ...]:
    """What HubSpot shows of the contact; where its record is not there, also of who has its key."""
    first = side.look_for([parcel])
    again = looked_for_again(parcel, first)
    return (first, side.look_for([again])) if again else (first,)


def _raise_if_stopped(found: Findable) -> None:
    """Raises UnavailableError while nothing is to be asked of HubSpot."""
    for api, stop in found.stops:
        if api == HUBSPOT:
            raise UnavailableError(str(stop), fix="Nothing is lost; try again after that.", until=stop.until)


@contextmanager
def _opened(
    found: Findable, hubspot: HubSpotSettings, sync: SyncSettings, clock: SystemClock
) -> Iterator[HubSpotClient]:
    if shared := load_shared():
        with stoppable(clock), wiring.hubspot_beside(hubspot, clock, shared, PATIENCE) as client:
            yield client
        return
    with stoppable(clock), _pace(found, hubspot, sync, clock) as pace:
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
