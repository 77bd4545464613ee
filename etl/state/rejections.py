"""The rejections table: what was refused, why, since when, how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, text, update

from etl.instants import instant, microseconds
from etl.models.verdict import ABSENT, REFUSED, TAKEN, RefusedThing
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, among, new, overwritten, value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Column, Select

    from etl.models.contact import Parcel
    from etl.models.verdict import Verdict
    from etl.models.visitor import Rejection
    from etl.state.statements import Row, Statements

_T, _C = tables.rejections, tables.rejections.c
_IS_ROW = _C.kind == "row"


def _of_website(column: Column[Any], dialect: str) -> Select[Any]:
    return select(_C.digest, column).where(_C.website_id == value("website_id"), among(_C.digest, dialect))


_BY_DIGEST = Prepared(lambda dialect: _of_website(_C.id, dialect))
_FIRST_REFUSED = Prepared(lambda dialect: _of_website(_C.first, dialect))
_BY_CONTACT = Prepared(lambda dialect: select(_C.contact_id, _C.id).where(among(_C.contact_id, dialect)))
_REASONS = Prepared(lambda dialect: select(_C.contact_id, _C.reason).where(among(_C.contact_id, dialect)))
_FIRST = Insertion(
    _T,
    "kind",
    "website_id",
    "contact_id",
    "digest",
    "key",
    "reason",
    "code",
    "correlation_id",
    "attempts",
    "first",
    "last",
)
_TOLD_AGAIN = ("reason", "code", "correlation_id", "last")
_AGAIN = Prepared(
    lambda _: (
        update(_T)
        .values(overwritten(*_TOLD_AGAIN) | {"attempts": _C.attempts + text("1")})
        .where(_C.id == value("number"))
    ),
    *map(new, _TOLD_AGAIN),
    "number",
)
_TOLD = (_C.key, _C.kind, _C.reason, _C.code, _C.attempts, _C.first, _C.last, _C.correlation_id)
_LISTED = Prepared(lambda _: select(*_TOLD).order_by(_C.last.desc(), _C.id.desc()))
_ABOUT_KEYS = Prepared(lambda dialect: select(_C.id, *_TOLD).where(among(_C.key, dialect)))
_ABOUT_CONTACTS = Prepared(lambda dialect: select(_C.id, *_TOLD).where(among(_C.contact_id, dialect)))
_CONTACTS = Prepared(lambda _: select(_C.contact_id))
_CONTACTS_NAMED = Prepared(lambda dialect: select(_C.contact_id).where(among(_C.key, dialect)))
_KEYS = Prepared(lambda dialect: select(_C.key).where(among(_C.key, dialect)))
_ROWS = Prepared(lambda _: select(_C.first, _C.last).where(_IS_ROW))
_ROWS_NAMED = Prepared(lambda dialect: select(_C.first, _C.last).where(_IS_ROW, among(_C.key, dialect)))
_FORGET_ROWS = Prepared(lambda _: delete(_T).where(_IS_ROW))
_FORGET_ROWS_NAMED = Prepared(lambda dialect: delete(_T).where(_IS_ROW, among(_C.key, dialect)))
_FORGET_CONTACTS = Prepared(lambda _: delete(_T).where(_C.kind == "contact"))
_FORGET_CONTACTS_OF = Prepared(lambda dialect: delete(_T).where(among(_C.contact_id, dialect)))


class Rejections:
    """Rows and contacts that were refused, inside one transaction. ``now`` is the instant of what happens."""

    def __init__(self, statements: Statements, *, now: datetime) -> None:
        self._statements = statements
        self._now = microseconds(now)

    def refuse_rows(self, website_id: int, refused: Iterable[Rejection]) -> int:
        """Write down refused rows. Returns how many of them were not refused before with the same content."""
        by_digest = {row.digest: row for row in refused}
        listed: dict[bytes, int] = dict(self._statements.among(_BY_DIGEST, by_digest, website_id=website_id))
        new = [
            ("row", website_id, None, digest, row.key, row.reason, row.code, None, 1, self._now, self._now)
            for digest, row in by_digest.items()
            if digest not in listed
        ]
        again = [
            (by_digest[digest].reason, by_digest[digest].code, None, self._now, number)
            for digest, number in listed.items()
        ]
        self._write(new, again)
        return len(new)

    def unlisted(
        self, website_id: int, refused: Iterable[Rejection], *, by: datetime | None = None
    ) -> list[Rejection]:
        """Those rows that are not listed with the same content; with ``by``, were not listed by then."""
        rows = {row.digest: row for row in refused}
        listed = self._statements.among(_FIRST_REFUSED, rows, website_id=website_id)
        latest = None if by is None else microseconds(by)
        old = {digest for digest, first in listed if latest is None or first <= latest}
        return [row for digest, row in rows.items() if digest not in old]

    def reasons(self, contact_ids: Collection[int]) -> dict[int, str]:
        """Why those of these contacts are listed that are."""
        return dict(self._statements.among(_REASONS, contact_ids))

    def settle(self, answered: Sequence[tuple[Parcel, Verdict]]) -> None:
        """List the contacts that HubSpot refused; strike out those that it took or does not have."""
        well = (*TAKEN, ABSENT)
        self.strike_out([parcel.contact_id for parcel, verdict in answered if verdict.outcome in well])
        rejected = {
            parcel.contact_id: (parcel, verdict) for parcel, verdict in answered if verdict.outcome in REFUSED
        }
        listed: dict[int, int] = dict(self._statements.among(_BY_CONTACT, rejected))
        new, again = [], []
        for contact_id, (parcel, verdict) in rejected.items():
            reason, code = verdict.reason or "no reason given", verdict.code or "REJECTED"
            number = listed.get(contact_id)
            if number is None:
                told = (parcel.id_value, reason, code, verdict.correlation_id)
                new.append(("contact", None, contact_id, None, *told, 1, self._now, self._now))
            else:
                again.append((reason, code, verdict.correlation_id, self._now, number))
        self._write(new, again)

    def strike_out(self, contact_ids: Collection[int]) -> None:
        """Forget the rejections of these contacts: taken, or no longer wanted."""
        self._statements.change_among(_FORGET_CONTACTS_OF, contact_ids)

    def strike_out_contacts(self) -> None:
        """Forget the rejections of all contacts: another portal may take them."""
        self._statements.change(_FORGET_CONTACTS)

    def listed(self) -> Iterator[RefusedThing]:
        """All rejections, the latest first."""
        yield from map(_refused_thing, self._statements.stream(_LISTED))

    def about(self, keys: Collection[str], contact_ids: Collection[int]) -> list[RefusedThing]:
        """The rejections of these keys and contacts, the latest first."""
        asked = ((_ABOUT_KEYS, keys), (_ABOUT_CONTACTS, contact_ids))
        found = {row[0]: row[1:] for statement, of in asked for row in self._statements.among(statement, of)}
        latest_first = sorted(found.items(), key=lambda each: (each[1][6], each[0]), reverse=True)
        return [_refused_thing(row) for _, row in latest_first]

    def retry(self, keys: Collection[str] | None) -> tuple[set[int], int]:
        """Lift the rejections of ``keys`` (None: all). Returns the ids of their contacts, and how many.

        A contact stays listed until HubSpot takes it; a row is forgotten, so that reading it again counts.
        """
        if keys is None:
            found = self._statements.rows(_CONTACTS)
            self._statements.change(_FORGET_ROWS)
        else:
            found = list(self._statements.among(_CONTACTS_NAMED, set(keys)))
            self._statements.change_among(_FORGET_ROWS_NAMED, keys)
        return {contact_id for (contact_id,) in found if contact_id is not None}, len(found)

    def refused_rows(self, keys: Collection[str] | None) -> tuple[int, datetime, datetime] | None:
        """How many of ``keys`` (None: of all) are rows, and when they were refused first and last."""
        if keys is None:
            found = list(self._statements.rows(_ROWS))
        else:
            found = list(self._statements.among(_ROWS_NAMED, set(keys)))
        if not found:
            return None
        return len(found), instant(min(first for first, _ in found)), instant(max(last for _, last in found))

    def unknown(self, keys: Collection[str]) -> set[str]:
        """Those of ``keys`` that no rejection has."""
        return set(keys) - {key for (key,) in self._statements.among(_KEYS, keys)}

    def _write(self, new: list[tuple[Any, ...]], again: list[tuple[Any, ...]]) -> None:
        self._statements.add_many(_FIRST, new)
        self._statements.change_many(_AGAIN, again)


@of_a_row
def _refused_thing(row: Row) -> RefusedThing:
    key, kind, reason, code, attempts, first, last, trace = row
    if not all(isinstance(part, str) for part in (key, kind, reason, code)):
        raise TypeError
    return RefusedThing(key, kind, reason, code, int(attempts), instant(first), instant(last), trace)
