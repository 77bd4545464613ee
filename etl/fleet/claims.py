"""Whose a HubSpot account is: one portal's, so that no two states write to its contacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from etl.errors import SettingsError
from etl.fleet.database import CLAIMS
from etl.fleet.limits import alone

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.clock import Clock
    from etl.fleet.limits import SharedRows

_KNOWN = text("SELECT name, account FROM portals WHERE account = :account OR name = :portal")
_GIVE_UP = text("UPDATE portals SET account = NULL WHERE account = :account OR name = :portal")
_LEAVE = text("UPDATE portals SET account = NULL WHERE name = :portal AND account <> :account")
_TAKE = text(
    "INSERT INTO portals (name, account) VALUES (:portal, :account)"
    " ON CONFLICT (name) DO UPDATE SET account = excluded.account"
)


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a ``portal``. Those of a portal that is not ``declared`` any more count for nothing.

    Who only ``looks``, such as a dry run, writes nothing down.
    """

    rows: SharedRows
    portal: str
    declared: tuple[str, ...]
    looks: bool = False

    def claim(self, account: int, clock: Clock) -> None:
        """Have the account be the portal's. Raises SettingsError where another one has it."""
        holder = self.rows.ask(lambda mine: self._holder(mine, account), clock)
        if holder is not None:
            raise SettingsError(
                f"The portals {holder} and {self.portal} are one HubSpot account ({account}): the same"
                " contacts would be written from two states. Nothing was sent.",
                fix=f"Declare that account once, with all its websites in [[sites]]. If {holder} has another"
                f" account by now, run visitor-sync run --portal {holder} first.",
            )

    def _holder(self, connection: Connection, account: int) -> str | None:
        """Which other portal has the account; where none has it, it is ours from now on."""
        values = {"portal": self.portal, "account": account}
        with connection.begin():
            known: dict[str, int | None] = dict(connection.execute(_KNOWN, values).tuples().all())
        if self.looks or known == {self.portal: account}:
            return self._other(known, account)
        with alone(connection):
            if connection.dialect.name != "sqlite":
                connection.execute(CLAIMS)  # of two that claim at once, the second sees the first
            known = dict(connection.execute(_KNOWN, values).tuples().all())
            if holder := self._other(known, account):
                connection.execute(_LEAVE, values)  # what it had is free for others all the same
                return holder
            connection.execute(_GIVE_UP, values)
            connection.execute(_TAKE, values)
        return None

    def _other(self, known: dict[str, int | None], account: int) -> str | None:
        others = {name for name, of in known.items() if of == account and name != self.portal}
        return next((name for name in self.declared if name in others), None)
