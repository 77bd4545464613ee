"""Finding all that the tables hold of a person, and erasing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, false, func, null, select, update

from etl.errors import LockedError
from etl.models.contact import RECORD, ContactKey
from etl.models.erasure import Holdings, Lead, Trace
from etl.state import tables
from etl.state.entries import WITHOUT_WRITTEN, key_of
from etl.state.failures import of_a_row, translated
from etl.state.statements import Prepared, among, overwritten, value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Delete, Select

    from etl.models.erasure import Person
    from etl.state.statements import Row, Statements

_C, _V, _R = tables.contacts.c, tables.visitors.c, tables.rejections.c
_LEAD = (_C.id, _C.kind, _C.key, _C.into, _C.record, _C.remains.is_not(None))
_TRACE = (_V.website_id, _V.id, _V.email, _V.contact_id)
_OF_WEBSITE = _V.website_id == value("website_id")


def _leads(column: Any) -> Prepared:
    return Prepared(lambda dialect: select(*_LEAD).where(among(column, dialect)))


def _traces(column: Any, *which: Any) -> Prepared:
    return Prepared(lambda dialect: select(*_TRACE).where(*which, among(column, dialect)))


def _rejections(column: Any) -> Prepared:
    def build(dialect: str) -> Select[Row]:
        return select(_R.id).where(among(column, dialect))

    return Prepared(build)


def _drop(column: Any, *which: Any) -> Prepared:
    def build(dialect: str) -> Delete:
        return delete(column.table).where(*which, among(column, dialect))

    return Prepared(build)


_LEADS_BY_KEY, _LEADS_BY_RECORD = _leads(_C.key), _leads(_C.record)
_LEADS_BY_ID, _LEADS_INTO = _leads(_C.id), _leads(_C.into)
_WEBSITES = Prepared(lambda _: select(tables.websites.c.id))
_TRACES = _traces(_V.id, _OF_WEBSITE)
_MEMBERS, _STATING = _traces(_V.contact_id), _traces(_V.email)
_REJECTED_CONTACTS, _REJECTED_KEYS = _rejections(_R.contact_id), _rejections(_R.key)
_DROP_VISITORS, _DROP_MEMBERS = _drop(_V.id, _OF_WEBSITE), _drop(_V.contact_id)
_DROP_REJECTIONS = _drop(_R.id)
_DROP_VERDICTS = _drop(tables.verdicts.c.contact_id)
_ANY_REJECTION = Prepared(lambda _: select(_R.id).limit(1))
_UNNAME = Prepared(
    lambda _: (
        update(tables.rejections)
        .values(reason=func.replace(_R.reason, value("said"), "…"))
        .where(func.replace(_R.reason, value("said"), "…") != _R.reason)
    )
)
"""HubSpot may name somebody in what it says of somebody else."""

_DROP_ALIASES, _DROP_CONTACTS = _drop(_C.id, _C.into.is_not(None)), _drop(_C.id)
_LARGEST_ID = Prepared(lambda _: select(func.max(_C.id)))
_BLANK = Prepared(
    lambda _: (
        update(tables.contacts)
        .values(
            overwritten("kind", "key")
            | dict.fromkeys(
                (
                    *("facts", "wanted", "confirmed", "refused", "record", "absent", "absent_at", "remains"),
                    *WITHOUT_WRITTEN,
                ),
                null(),
            )
            | dict.fromkeys(("blocked", "due", "made", "gone"), false())
        )
        .where(_C.id == value("contact_id"))
    )
)


class Erasure:
    """The tables that hold anything of people, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def leads(self, keys: Collection[ContactKey]) -> list[Lead]:
        """The contacts that have one of ``keys`` as their own, or as their record."""
        found = [
            lead
            for lead in map(_lead, self._statements.among(_LEADS_BY_KEY, {key.value for key in keys}))
            if lead.key in keys
        ]
        records = {key.value for key in keys if key.kind is RECORD}
        return [*found, *map(_lead, self._statements.among(_LEADS_BY_RECORD, records))]

    def contacts(self, contact_ids: Collection[int]) -> Iterator[Lead]:
        """These contacts, and all keys that lead to them."""
        for statement in (_LEADS_BY_ID, _LEADS_INTO):
            yield from map(_lead, self._statements.among(statement, contact_ids))

    def traces(self, visitor_ids: Collection[str]) -> Iterator[Trace]:
        """These visitors on every website."""
        for website_id in self._websites():
            yield from map(_trace, self._statements.among(_TRACES, visitor_ids, website_id=website_id))

    def members(self, contact_ids: Collection[int]) -> Iterator[Trace]:
        """The visitors that belong to these contacts."""
        return map(_trace, self._statements.among(_MEMBERS, contact_ids))

    def stating(self, addresses: Collection[str]) -> Iterator[Trace]:
        """The visitors that state one of ``addresses``. Has the database read all visitors."""
        return map(_trace, self._statements.among(_STATING, addresses))

    def holdings(self, person: Person) -> Holdings:
        """How much there is of somebody."""
        of_ids = {(each.website_id, each.visitor_id) for each in self.traces(person.visitors)}
        of_ids |= {(each.website_id, each.visitor_id) for each in self.members(person.contacts)}
        return Holdings(
            visitors=len(of_ids),
            contacts=sum(
                _lead(each).into is None for each in self._statements.among(_LEADS_BY_ID, person.contacts)
            ),
            rejections=len(self._rejections(person)),
        )

    def erase(self, person: Person) -> None:
        """Erase visitors, rejections and contacts; nothing may belong to its ``aliases``.

        A contact's id is never given twice: what HubSpot still has to say of it would be said of another. So
        the one with the largest id leaves an empty row behind.
        """
        drop = self._statements.change_among
        drop(_DROP_REJECTIONS, self._rejections(person))
        if self._statements.value(_ANY_REJECTION) is not None:
            for key in person.keys:
                self._statements.change(_UNNAME, said=key.value)
        drop(_DROP_MEMBERS, person.contacts)
        for website_id in self._websites():
            drop(_DROP_VISITORS, person.visitors, website_id=website_id)
        contacts = person.contacts | person.aliases
        drop(_DROP_VERDICTS, contacts)
        drop(_DROP_ALIASES, contacts)
        largest = self._statements.value(_LARGEST_ID)
        if largest in contacts:
            blank = {"new_kind": RECORD.value, "new_key": f"erased {largest}"}
            self._statements.change(_BLANK, contact_id=largest, **blank)
        drop(_DROP_CONTACTS, contacts - {largest})

    def _websites(self) -> list[int]:
        return [website_id for (website_id,) in self._statements.rows(_WEBSITES)]

    def _rejections(self, person: Person) -> set[int]:
        keys = {key.value for key in person.keys}
        asked = ((_REJECTED_CONTACTS, person.contacts | person.aliases), (_REJECTED_KEYS, keys))
        return {number for statement, of in asked for (number,) in self._statements.among(statement, of)}


def scrub(connection: Connection) -> None:
    """Leave nothing of what was erased in any file of the database; outside of a transaction.

    Raises LockedError where somebody reads the state meanwhile, and so keeps its older pages in the log.
    """
    with translated(connection.engine.url):
        if connection.dialect.name == "sqlite":
            _scrub_file(connection)
            return
        from etl.state.postgres import rewrite  # noqa: PLC0415 -- the driver is an extra

        rewrite(connection, _REWRITTEN)


_REWRITTEN = ("visitors", "contacts", "verdicts", "rejections", "links", "facts")


def _scrub_file(connection: Connection) -> None:
    raw: Any = connection.connection.driver_connection
    for statement in (_FOLD_IN, "VACUUM", _FOLD_IN):
        row = raw.execute(statement).fetchone()
        if row and row[0]:
            raise LockedError(
                "All is erased, but another process reads the state, and so older pages stay in its log.",
                fix="Give the same command again once that has ended.",
            )


_FOLD_IN = "PRAGMA wal_checkpoint(TRUNCATE)"
"""Answers first whether it was kept from doing so."""


@of_a_row
def _lead(row: Row) -> Lead:
    contact_id, kind, key, into, record, remains = row
    return Lead(contact_id, key_of(kind, key), into, record, bool(remains))


@of_a_row
def _trace(row: Row) -> Trace:
    return Trace(*row)
