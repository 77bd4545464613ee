"""What is explained cannot disagree with the sync: laws over all that the state may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes import NOW
from hypothesis import given
from hypothesis import strategies as st
from strategies import ROWS

from etl.fields import BASIC_FIELDS
from etl.models.contact import EMAIL, RECORD, VISITOR, Contact, ContactKey, LedgerEntry, Written
from etl.models.dossier import Dossier, Met, Standing
from etl.pipeline import Order
from etl.pipeline.explaining import Reason, findings, parcel_of
from etl.pipeline.stating import statements
from etl.rules import People
from etl.transform import contact, is_due, merge_all, properties

if TYPE_CHECKING:
    from etl.models.visitor import Visitor

ORDER = Order(run="", kind="incremental", website="")
PRINTS = st.sampled_from([None, b"one", b"other"])
ENTRIES = st.builds(
    lambda kind, wanted, confirmed, refused, absent, blocked: LedgerEntry(
        1,
        ContactKey(kind, "42"),
        wanted,
        confirmed,
        refused,
        absent,
        blocked,
        is_due(wanted=wanted, confirmed=confirmed, refused=refused, blocked=blocked, absent=absent),
    ),
    st.sampled_from([EMAIL, VISITOR, RECORD]),
    PRINTS,
    PRINTS,
    PRINTS,
    PRINTS,
    st.booleans(),
)
VISITORS = st.lists(ROWS, min_size=1, max_size=8).map(lambda rows: list(merge_all({}, rows).values()))


def dossier(entry: LedgerEntry, *visitors: Visitor) -> Dossier:
    facts = contact(entry.key, visitors, BASIC_FIELDS).facts if visitors else {}
    members = tuple(Met("site", each, entry.contact_id, None) for each in visitors)
    return Dossier(
        entry.key.value, (entry.key.kind,), Standing(entry, facts, gone=False, absent_at=None), members
    )


@given(ENTRIES)
def test_a_contact_is_said_to_be_sent_exactly_if_it_is_due(entry: LedgerEntry) -> None:
    (answer, *others) = findings(dossier(entry), ORDER, now=NOW)

    assert answer.sends is entry.due
    assert not any(each.sends for each in others)
    if entry.wanted is None:
        assert answer.reason is Reason.DESERTED


@given(ENTRIES)
def test_without_anonymous_contacts_none_of_them_is_said_to_be_sent(entry: LedgerEntry) -> None:
    order = Order(run="", kind="incremental", website="", anonymous=False)

    found = findings(dossier(entry), order, now=NOW)

    assert found[0].sends is (entry.due and entry.key.kind is not VISITOR)


@given(VISITORS)
def test_each_field_is_decided_by_those_whose_statement_the_contact_has(visitors: list[Visitor]) -> None:
    entry = LedgerEntry(1, ContactKey(EMAIL, "42"), b"", None, None, None, blocked=False, due=True)
    found = dossier(entry, *visitors)
    outcome = contact(entry.key, visitors, BASIC_FIELDS)
    wanted = properties(Contact(entry.key, outcome.facts), BASIC_FIELDS)

    told = statements(found, BASIC_FIELDS)

    assert len(told) == len(visitors)
    for field in BASIC_FIELDS.fields:
        of_field = [each for theirs in told for each in theirs if each.field == field.name]
        deciding = [each for each in of_field if each.decides]
        assert bool(deciding) is (field.name in outcome.facts)
        if field.people is People.SUM:
            assert deciding == of_field
        else:
            assert {each.value for each in deciding} <= {wanted.get(field.property_name)}


def test_what_was_kept_is_looked_at_anew_once_the_time_is_over() -> None:
    kept = Written(kept={"country": "France"}, kept_at=0)
    entry = LedgerEntry(
        1, ContactKey(EMAIL, "42"), b"one", b"one", None, None, blocked=False, due=False, written=kept
    )
    found = dossier(entry)
    assert found.contact

    (answer, *_) = findings(found, ORDER, now=NOW)

    assert (answer.reason, answer.sends) == (Reason.KEPT, True)
    assert parcel_of(found, found.contact, ORDER, now=NOW).written.kept == {}
