"""Whether HubSpot is set up as it must be, found out once for all threads."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, TypeVar

from etl.errors import ContractBrokenError, SetupError, SyncError
from etl.load.complaints import Complaint
from etl.load.properties import SETUP, Properties, raise_for
from etl.load.statuses import ScopeMissingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.load.client import HubSpotClient
    from etl.load.properties import WantedProperty

log = logging.getLogger(__name__)

T = TypeVar("T")


class SetupCheck:
    """What is wrong opens the circuit of the client: nothing more is sent for the error's sake.

    ``verified`` starts as what an earlier run has found, and is what the next one may rely on.
    """

    def __init__(
        self, client: HubSpotClient, properties: Sequence[WantedProperty], *, verified: bool
    ) -> None:
        self.verified = verified
        self._circuit = client.circuit
        self._properties = Properties(client, properties)
        self._lock = threading.Lock()
        self._examined = False

    def before_first(self) -> None:
        """Verify the properties, unless they are known to be right. Raises what ``examine`` raises."""
        if not self.verified:
            self.examine()

    def examine(self) -> None:
        """Verify the properties, unless this run has done so.

        Raises SetupError if they are wrong, and whatever keeps them from being verified.
        """
        with self._lock:
            if not self._examined:
                self._verify()
                self._examined = True

    def believed(self, answer: T | Complaint) -> T:
        """``answer``, unless it is a complaint of the whole request: that is raised as one of the set-up."""
        if isinstance(answer, Complaint):
            raise self.disprove(answer)
        return answer

    def disprove(self, said: Complaint) -> SyncError:
        """The error of the set-up that ``said`` shows, whatever an earlier look has found.

        Looks once more, as the properties themselves tell best what mends them.
        """
        with self._lock:
            self.verified = False
            try:
                raise_for(self._properties.verify())
            except SetupError as error:
                return self._circuit.open(error)
            except SyncError:
                pass  # the complaint is known already, and says enough
            names = ", ".join(said.properties) or "that this program writes"
            what = f"HubSpot cannot take the property {names} as it is ({said.code})."
            return self._circuit.open(SetupError(what, fix=SETUP))

    def _verify(self) -> None:
        try:
            raise_for(self._properties.verify())
        except ScopeMissingError as error:
            log.warning(
                "properties cannot be read; the first batch will show whether they are right",
                extra={"action": "properties_unverified", "why": error.what},
            )
        except (SetupError, ContractBrokenError) as error:
            self.verified = False
            raise self._circuit.open(error) from None
        else:
            self.verified = True
