"""The books of a run: every row and every contact counted once."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from etl.errors import BooksDoNotBalanceError
from etl.models import ContactCounts, Outcome, RowCounts

if TYPE_CHECKING:
    from etl.models import Verdict

_MEMBERSHIPS = 8


class _Standing(IntEnum):
    UNCHANGED = 0
    CREATED = 1
    UPDATED = 2
    REJECTED = 3
    DEFERRED = 4


class _Membership(IntEnum):
    NONE = 0
    TOUCHED = 1
    CARRIED_OVER = 2


_STANDING = {
    Outcome.CREATED: _Standing.CREATED,
    Outcome.UPDATED: _Standing.UPDATED,
    Outcome.REJECTED: _Standing.REJECTED,
    Outcome.DEFERRED: _Standing.DEFERRED,
}


class Books:
    """One byte per contact of the state up to the largest id seen, so that a million contacts cost 1 MB.

    A contact that is due stands as deferred until a verdict says otherwise, and again when new facts make it
    due once more: the last verdict counts.
    """

    def __init__(self) -> None:
        self.rows = RowCounts()
        self.newly_rejected = 0
        self._marks = bytearray()

    def count_rows_anew(self) -> None:
        """The reading began anew: rows that were counted will be read once more."""
        self.rows = RowCounts()

    def carry_over(self, contact_id: int) -> None:
        """A contact that was due before this run."""
        self._mark(contact_id, _Membership.CARRIED_OVER, _Standing.DEFERRED)

    def touch(self, contact_id: int, *, due: bool) -> None:
        """A row of this run belongs to the contact."""
        _, standing = self._read(contact_id)
        if due:
            standing = _Standing.DEFERRED
        elif standing is _Standing.DEFERRED:
            standing = _Standing.UNCHANGED
        self._mark(contact_id, _Membership.TOUCHED, standing)

    def relieve(self, contact_id: int) -> None:
        """The contact is no longer due, though no row of this run belongs to it: a visitor left it."""
        membership, standing = self._read(contact_id)
        if standing is _Standing.DEFERRED:
            self._mark(contact_id, membership, _Standing.UNCHANGED)

    def forget(self, contact_id: int) -> None:
        """The contact is no longer wanted."""
        self._mark(contact_id, _Membership.NONE, _Standing.UNCHANGED)

    def settle(self, verdict: Verdict, *, due_again: bool) -> None:
        """HubSpot spoke. ``due_again``: new facts arrived while it did."""
        membership, _ = self._read(verdict.contact_id)
        standing = _Standing.DEFERRED if due_again else _STANDING[verdict.outcome]
        if verdict.outcome is Outcome.REJECTED:
            self.newly_rejected += 1
        if membership is not _Membership.NONE:
            self._mark(verdict.contact_id, membership, standing)

    def contacts(self) -> ContactCounts:
        """The counts as they stand now."""
        by_standing = {
            standing: self._count(_Membership.TOUCHED, standing)
            + self._count(_Membership.CARRIED_OVER, standing)
            for standing in _Standing
        }
        return ContactCounts(
            touched=sum(self._count(_Membership.TOUCHED, standing) for standing in _Standing),
            carried_over=sum(self._count(_Membership.CARRIED_OVER, standing) for standing in _Standing),
            unchanged=by_standing[_Standing.UNCHANGED],
            created=by_standing[_Standing.CREATED],
            updated=by_standing[_Standing.UPDATED],
            rejected=by_standing[_Standing.REJECTED],
            deferred=by_standing[_Standing.DEFERRED],
        )

    def balance(self, *, due: int) -> None:
        """Raise BooksDoNotBalanceError unless rows and contacts add up, and ``due`` of them are deferred.

        ``due`` is what the ledger says.
        """
        rows, contacts = self.rows, self.contacts()
        parts = rows.accepted + rows.out_of_window + rows.anonymous + rows.opted_out + rows.rejected
        verdicts = (
            contacts.unchanged + contacts.created + contacts.updated + contacts.rejected + contacts.deferred
        )
        if rows.read != parts:
            raise BooksDoNotBalanceError(f"{rows.read} rows were read, {parts} are accounted for.")
        if contacts.touched + contacts.carried_over != verdicts:
            raise BooksDoNotBalanceError(
                f"{contacts.touched + contacts.carried_over} contacts, {verdicts} accounted for."
            )
        if contacts.deferred != due:
            raise BooksDoNotBalanceError(
                f"{contacts.deferred} contacts are deferred, the ledger says {due} are due."
            )

    def _count(self, membership: _Membership, standing: _Standing) -> int:
        return self._marks.count(membership * _MEMBERSHIPS + standing)

    def _read(self, contact_id: int) -> tuple[_Membership, _Standing]:
        mark = self._marks[contact_id] if contact_id < len(self._marks) else 0
        return _Membership(mark // _MEMBERSHIPS), _Standing(mark % _MEMBERSHIPS)

    def _mark(self, contact_id: int, membership: _Membership, standing: _Standing) -> None:
        if contact_id >= len(self._marks):
            self._marks.extend(bytes(contact_id + 1024 - len(self._marks)))
        self._marks[contact_id] = membership * _MEMBERSHIPS + standing
