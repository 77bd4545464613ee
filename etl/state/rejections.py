"""The rejections table: what was refused, why, since when, how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select, true, update

from etl.models import Outcome, RefusedThing
from etl.state.tables import rejections

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from etl.models import Rejection, Verdict

_AGAIN = (
    update(rejections)
    .where(rejections.c.id == bindparam("of"))
    .values(
        reason=bindparam("new_reason"),
        code=bindparam("new_code"),
        correlation_id=bindparam("new_correlation_id"),
        last=bindparam("now"),
        attempts=rejections.c.attempts + 1,
    )
)


class Rejections:
    """Rows and contacts that were refused, inside one transaction. ``now`` is the instant of what happens."""

    def __init__(self, connection: Connection, *, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def refuse_rows(self, website_id: int, refused: Iterable[Rejection]) -> int:
        """Write down refused rows. Returns how many of them were not refused before with the same content."""
        by_digest = {row.digest: row for row in refused}
        if not by_digest:
            return 0
        query = select(rejections.c.digest, rejections.c.id).where(
            rejections.c.website_id == website_id, rejections.c.digest.in_(list(by_digest))
        )
        listed = {digest: number for digest, number in self._connection.execute(query)}  # noqa: C416
        again = [
            self._again(number, by_digest[digest].reason, by_digest[digest].code, None)
            for digest, number in listed.items()
        ]
        new = [
            self._first("row", row.key, row.reason, row.code)
            | {"website_id": website_id, "digest": digest, "contact_id": None, "correlation_id": None}
            for digest, row in by_digest.items()
            if digest not in listed
        ]
        self._write(new, again)
        return len(new)

    def settle(self, verdicts: Iterable[Verdict], keys: Mapping[int, str]) -> None:
        """List the contacts that HubSpot rejected, by the key of each; strike out those that it took."""
        said = list(verdicts)
        ids = [verdict.contact_id for verdict in said if verdict.outcome is not Outcome.DEFERRED]
        query = select(rejections.c.contact_id, rejections.c.id).where(rejections.c.contact_id.in_(ids))
        listed = {contact_id: number for contact_id, number in self._connection.execute(query)}  # noqa: C416
        new, again, taken = [], [], []
        for verdict in said:
            number = listed.get(verdict.contact_id)
            if verdict.outcome is Outcome.REJECTED:
                reason, code = verdict.reason or "no reason given", verdict.code or "REJECTED"
                if number is None:
                    first = self._first("contact", keys[verdict.contact_id], reason, code)
                    origin = {"website_id": None, "digest": None, "contact_id": verdict.contact_id}
                    new.append(first | origin | {"correlation_id": verdict.correlation_id})
                else:
                    again.append(self._again(number, reason, code, verdict.correlation_id))
            elif number is not None and verdict.outcome is not Outcome.DEFERRED:
                taken.append(number)
        self._write(new, again)
        if taken:
            self._connection.execute(delete(rejections).where(rejections.c.id.in_(taken)))

    def strike_out(self, contact_ids: Collection[int]) -> None:
        """Forget the rejections of contacts that are no longer wanted."""
        if contact_ids:
            self._connection.execute(delete(rejections).where(rejections.c.contact_id.in_(list(contact_ids))))

    def listed(self) -> Iterator[RefusedThing]:
        """All rejections, the latest first."""
        columns = (
            rejections.c.key,
            rejections.c.kind,
            rejections.c.reason,
            rejections.c.code,
            rejections.c.attempts,
            rejections.c.first,
            rejections.c.last,
            rejections.c.correlation_id,
        )
        query = select(*columns).order_by(rejections.c.last.desc(), rejections.c.id.desc())
        for row in self._connection.execute(query, execution_options={"yield_per": 1000}):
            yield RefusedThing(*row)

    def retry(self, keys: Collection[str] | None) -> tuple[set[int], int]:
        """Lift the rejections of ``keys`` (None: all). Returns the ids of their contacts, and how many.

        A contact stays listed until HubSpot takes it; a row is forgotten, so that reading it again counts.
        """
        named = true() if keys is None else rejections.c.key.in_(list(keys))
        found = list(self._connection.scalars(select(rejections.c.contact_id).where(named)))
        self._connection.execute(delete(rejections).where(named, rejections.c.kind == "row"))
        return {contact_id for contact_id in found if contact_id is not None}, len(found)

    def unknown(self, keys: Collection[str]) -> set[str]:
        """Those of ``keys`` that no rejection has."""
        query = select(rejections.c.key).where(rejections.c.key.in_(list(keys)))
        return set(keys) - set(self._connection.scalars(query))

    def _first(self, kind: str, key: str, reason: str, code: str) -> dict[str, object]:
        return {
            "kind": kind,
            "key": key,
            "reason": reason,
            "code": code,
            "attempts": 1,
            "first": self._now,
            "last": self._now,
        }

    def _again(self, number: int, reason: str, code: str, correlation_id: str | None) -> dict[str, object]:
        return {
            "of": number,
            "new_reason": reason,
            "new_code": code,
            "new_correlation_id": correlation_id,
            "now": self._now,
        }

    def _write(self, new: list[dict[str, object]], again: list[dict[str, object]]) -> None:
        if new:
            self._connection.execute(insert(rejections), new)
        if again:
            self._connection.execute(_AGAIN, again)
