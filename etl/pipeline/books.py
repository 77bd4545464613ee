"""The books of a run: every row and every contact counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import BooksDoNotBalanceError
from etl.models.summary import ContactCounts, RowCounts, ValueCounts
from etl.models.verdict import ABSENT, CREATED, DEFERRED, GONE, KEPT, REFUSED, REJECTED, UPDATED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.models.verdict import Verdict

_STANDINGS = _UNCHANGED, _CREATED, _UPDATED, _REJECTED, _DEFERRED, _CREATED_AND_DUE, _ABSENT, _KEPT = range(8)
_NOT_OURS, _TOUCHED, _CARRIED_OVER = range(0, 24, 8)
"""A contact's mark is one of these plus its standing: two enumerations would cost a microsecond a contact."""

_MEMBERSHIP, _STANDING = 0b11000, 0b111
_MADE = (_CREATED, _CREATED_AND_DUE)
_DUE = tuple(_CREATED_AND_DUE if standing in _MADE else _DEFERRED for standing in _STANDINGS)
"""What each standing becomes when the contact is due, and below when it is due no longer."""

_RELIEVED = (_UNCHANGED, _CREATED, _UPDATED, _REJECTED, _UNCHANGED, _CREATED, _ABSENT, _KEPT)
_SAID = {
    CREATED: _CREATED,
    UPDATED: _UPDATED,
    REJECTED: _REJECTED,
    DEFERRED: _DEFERRED,
    ABSENT: _ABSENT,
    GONE: _REJECTED,
    KEPT: _KEPT,
}


class Books:
    """One byte per contact of the state up to the largest id seen, so that a million contacts cost 1 MB.

    A contact that is due stands as deferred until a verdict says otherwise, and again when new facts make it
    due once more: the last verdict counts, but what was created in this run stays created.
    """

    def __init__(self) -> None:
        self.rows = RowCounts()
        self.values = ValueCounts()
        self.newly_rejected = 0
        self.gone = 0
        self.erased: set[int] = set()
        """Contacts that are not in the ledger any more; one may be in flight."""

        self._marks = bytearray()

    def count_rows_anew(self) -> None:
        """The reading began anew: rows that were counted will be read once more."""
        self.rows = RowCounts()

    def carry_over(self, contact_id: int) -> None:
        """A contact that was due before this run."""
        self._mark(contact_id, _CARRIED_OVER + _DEFERRED)

    def touch(self, contact_id: int, *, due: bool) -> None:
        """A row of this run belongs to the contact."""
        standing = self._read(contact_id) & _STANDING
        self._mark(contact_id, _TOUCHED + (_DUE if due else _RELIEVED)[standing])

    def relieve(self, contact_id: int) -> None:
        """The contact is no longer due, though no row of this run belongs to it: a visitor left it."""
        mark = self._read(contact_id)
        self._mark(contact_id, (mark & _MEMBERSHIP) + _RELIEVED[mark & _STANDING])

    def forget(self, contact_id: int) -> None:
        """The contact is no longer wanted."""
        self._mark(contact_id, _NOT_OURS + _UNCHANGED)

    def erase(self, contact_ids: Iterable[int]) -> None:
        """The contacts were erased from the ledger."""
        for contact_id in contact_ids:
            self.forget(contact_id)
            self.erased.add(contact_id)

    def disturb(self, contact_id: int) -> None:
        """The contact is due once more, though no row of this run belongs to it."""
        mark = self._read(contact_id)
        if membership := mark & _MEMBERSHIP:
            self._mark(contact_id, membership + _DUE[mark & _STANDING])
        else:
            self.carry_over(contact_id)

    def unite(self, goes: int, stays: int, *, due: bool) -> None:
        """Two contacts are one: it belongs to the run as either did, and was created if either was."""
        gone, kept = self._read(goes), self._read(stays)
        self.forget(goes)
        memberships = [mark & _MEMBERSHIP for mark in (gone, kept) if mark & _MEMBERSHIP]
        if not memberships:
            if due:
                self.carry_over(stays)
            return
        standings = {mark & _STANDING for mark in (gone, kept) if mark & _MEMBERSHIP}
        standing = _CREATED if standings & {*_MADE} else max(standings)
        self._mark(stays, min(memberships) + (_DUE if due else _RELIEVED)[standing])

    def was_created(self, contact_id: int) -> bool:
        """Whether the contact was created in this run, be it due again or not."""
        return self._read(contact_id) & _STANDING in _MADE

    def settle(self, verdicts: Iterable[Verdict], *, due: set[int]) -> None:
        """HubSpot spoke. ``due`` are the contacts that are due still, or again, as new facts arrived."""
        for contact_id, outcome, *_ in verdicts:
            if outcome in REFUSED:
                self.newly_rejected += 1
                self.gone += outcome is GONE
            mark = self._read(contact_id)
            if membership := mark & _MEMBERSHIP:
                standing = _CREATED if mark & _STANDING in _MADE else _SAID[outcome]
                self._marks[contact_id] = membership + (_DUE[standing] if contact_id in due else standing)

    def contacts(self) -> ContactCounts:
        """The counts as they stand now."""
        touched = [self._marks.count(_TOUCHED + standing) for standing in _STANDINGS]
        carried_over = [self._marks.count(_CARRIED_OVER + standing) for standing in _STANDINGS]
        unchanged, created, updated, rejected, deferred, again, absent, kept = map(
            sum, zip(touched, carried_over, strict=True)
        )
        return ContactCounts(
            touched=sum(touched),
            carried_over=sum(carried_over),
            unchanged=unchanged,
            created=created,
            updated=updated,
            rejected=rejected,
            deferred=deferred + again,
            absent=absent,
            kept=kept,
        )

    def balance(self, *, due: int) -> None:
        """Raise BooksDoNotBalanceError unless rows and contacts add up, and ``due`` of them are deferred.

        ``due`` is what the ledger says.
        """
        rows, contacts = self.rows, self.contacts()
        parts = (
            rows.accepted
            + rows.out_of_window
            + rows.anonymous
            + rows.opted_out
            + rows.excluded
            + rows.rejected
        )
        verdicts = (
            contacts.unchanged
            + contacts.created
            + contacts.updated
            + contacts.rejected
            + contacts.deferred
            + contacts.absent
            + contacts.kept
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

    def _read(self, contact_id: int) -> int:
        return self._marks[contact_id] if contact_id < len(self._marks) else 0

    def _mark(self, contact_id: int, mark: int) -> None:
        if contact_id >= len(self._marks):
            self._marks.extend(bytes(contact_id + 1024 - len(self._marks)))
        self._marks[contact_id] = mark
