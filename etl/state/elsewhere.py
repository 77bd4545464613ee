"""The limits of a state that shares them with others: their months and stops are kept where all see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from etl.state.limits import Limits
from etl.state.ownership import Ownership

if TYPE_CHECKING:
    from datetime import datetime

    from etl.models.reading import Quota
    from etl.models.stop import Stop
    from etl.state.notebook import Notebook
    from etl.state.statements import Statements


class Elsewhere(Protocol):
    """What holds for others than this state, too."""

    def quota(self, api: str, /) -> Quota | None:
        """The requests of the period, as far as they are known."""
        ...

    def stops(self) -> list[tuple[str, Stop]]:
        """Those that are in force, with their API."""
        ...

    def remember_stop(self, api: str, stop: Stop | None, /) -> None:
        """At once, whatever becomes of the transaction; None: those of before are over."""
        ...

    def claim(self, account: int, /) -> None:
        """Have a HubSpot account be this state's. Raises SettingsError where it is another one's."""
        ...


class OwnershipElsewhere(Ownership):
    """As the note says, and the account is claimed ``elsewhere``."""

    def __init__(self, notebook: Notebook, elsewhere: Elsewhere) -> None:
        super().__init__(notebook)
        self._elsewhere = elsewhere

    def claim(self, account: int) -> None:
        self._elsewhere.claim(account)


class LimitsElsewhere(Limits):
    """The table's limits, but for those that are kept ``elsewhere``."""

    def __init__(
        self, statements: Statements, accounts: dict[str, str], *, now: datetime, elsewhere: Elsewhere
    ) -> None:
        super().__init__(statements, accounts, now=now)
        self.elsewhere = elsewhere

    def quota(self, api: str) -> Quota | None:
        return self.elsewhere.quota(api)

    def latest_quota(self, api: str) -> Quota | None:
        return self.elsewhere.quota(api)

    def stop(self, api: str, now: datetime) -> Stop | None:  # noqa: ARG002 -- the rows have a clock of their own
        return next((stop for of, stop in self.elsewhere.stops() if of == api), None)

    def stops(self) -> list[tuple[str, Stop]]:
        return self.elsewhere.stops()

    def remember_stop(self, api: str, stop: Stop | None) -> None:
        self.elsewhere.remember_stop(api, stop)
