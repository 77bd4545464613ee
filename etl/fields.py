"""The synced fields, said once.

Everything follows from a declaration here: how a row is read, what several rows and visitors come to, what is
kept, fingerprinted and sent, the HubSpot property and the setting that renames it. The names under which a
row may state a fact are those of Zenovay's reference of ``GET /analytics/{websiteId}/visitors``, then those
of its integration guide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from etl.kinds import COUNT, COUNTRY, FLAG, INSTANT, NUMBER, PAGE, TEXT
from etl.models.visitor import AT
from etl.policies import Policy, default_policy, is_ours
from etl.rules import TIMED, People, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.kinds import Kind
    from etl.models.visitor import Value

OWN = "own"
"""The set of the fields that the user declares."""

EVERYTHING = "everything"
"""All sets."""

DEFAULT = ("basic", OWN)


@dataclass(frozen=True, slots=True)
class Field:
    """One fact about visitors.

    ``stated`` are the names under which a row may state it: the first that says something counts, ``a.b`` is
    ``b`` inside the object ``a``. ``rows`` says what the rows of a visitor come to, ``people`` what the
    visitors of a contact do. ``property_name`` is where HubSpot keeps it, ``member`` the set it belongs to.
    ``write`` is what may be written over there; None where that follows from the property.
    """

    name: str
    stated: tuple[str, ...]
    kind: Kind
    rows: Rows
    people: People
    property_name: str
    label: str
    member: str
    write: Policy | None = None

    @property
    def policy(self) -> Policy:
        """What may be written over what HubSpot holds."""
        return self.write or default_policy(self.property_name)

    @property
    def is_timed(self) -> bool:
        """Whether it matters when the fact was stated."""
        return self.rows in TIMED

    @property
    def setting(self) -> str:
        """The setting that names the property."""
        return f"SYNC_{self.name}_PROPERTY".upper()

    @property
    def write_setting(self) -> str:
        """The setting that names the policy."""
        return f"SYNC_{self.name}_WRITE".upper()

    def of(self, facts: Mapping[str, Value]) -> Value | None:
        """The fact among ``facts``; None as well for what was kept when the field was of another kind."""
        value = facts.get(self.name)
        return value if type(value) in self.kind.holds else None


def declared(
    name: str,
    stated: tuple[str, ...],
    kind: Kind,
    rows: Rows,
    people: People,
    member: str,
    *,
    property_name: str | None = None,
    label: str | None = None,
) -> Field:
    """A field, with a property and a label made of its name where none are given."""
    return Field(
        name,
        stated,
        kind,
        rows,
        people,
        property_name or f"zenovay_{name}",
        label or f"Zenovay {name.replace('_', ' ')}",
        member,
    )


_SEEN, _PAGE, _REFERRER = ("last_seen", "visited_at"), ("landing_page",), ("referrer",)
_COUNTRY = ("country_code", "country", "country_name")
_VIEWS = ("pageviews", "page_views", "page_count")

FIELDS = (
    declared("country", _COUNTRY, COUNTRY, Rows.LATEST, People.OF_LATEST, "basic", property_name="country"),
    declared("last_seen", _SEEN, INSTANT, Rows.LARGEST, People.LARGEST, "basic"),
    declared("pageviews", _VIEWS, COUNT, Rows.LARGEST, People.SUM, "basic", label="Zenovay page views"),
    declared("first_seen", ("first_seen", *_SEEN), INSTANT, Rows.SMALLEST, People.SMALLEST, "first_touch"),
    declared("first_page", _PAGE, PAGE, Rows.FIRST, People.OF_FIRST, "first_touch"),
    declared("first_referrer", _REFERRER, PAGE, Rows.FIRST, People.OF_FIRST, "first_touch"),
    declared("last_page", _PAGE, PAGE, Rows.LATEST, People.OF_LATEST, "last_touch"),
    declared("last_referrer", _REFERRER, PAGE, Rows.LATEST, People.OF_LATEST, "last_touch"),
    declared("value_score", ("value_score",), NUMBER, Rows.LATEST, People.LARGEST, "scoring"),
    declared("engaged", ("had_interaction",), FLAG, Rows.ANY, People.ANY, "scoring"),
    declared("city", ("city",), TEXT, Rows.LATEST, People.OF_LATEST, "place"),
    declared("device", ("device_type",), TEXT, Rows.LATEST, People.OF_LATEST, "technology"),
    declared("browser", ("browser",), TEXT, Rows.LATEST, People.OF_LATEST, "technology"),
    declared("os", ("os",), TEXT, Rows.LATEST, People.OF_LATEST, "technology", label="Zenovay OS"),
)
"""In the order in which they are shown."""

COUNTRY_FIELD = FIELDS[0]
BASIC = tuple(field for field in FIELDS if field.member == "basic")
SETS = tuple(dict.fromkeys(field.member for field in FIELDS))


class SyncedFields:
    """The fields that are on, each with the property that the settings name, and that of the visitor id."""

    def __init__(self, fields: Iterable[Field] = BASIC, *, visitor_id: str = "zenovay_visitor_id") -> None:
        self.fields = tuple(fields)
        self.visitor_id = visitor_id
        self.by_name = {field.name: field for field in self.fields}
        self.by_property = {field.property_name: field for field in self.fields}
        self.watched = {
            field.property_name: field.policy
            for field in self.fields
            if field.policy is not Policy.OVERWRITE or not is_ours(field.property_name)
        }
        """The properties that are not simply overwritten as ours, with the policy of each."""

        self.foreign = frozenset(name for name in self.watched if not is_ours(name))
        """Those that people may have reasons of their own to fill in."""
        self.keys = frozenset(f"{name}{at}" for name in self.by_name for at in ("", AT))

    def mapping(self) -> dict[str, str]:
        """The property of each, by the field's name."""
        return {field.name: field.property_name for field in self.fields} | {"visitor_id": self.visitor_id}

    def policies(self) -> dict[str, str]:
        """The policy of each property that is not simply overwritten as ours, by its name."""
        return {name: policy.value for name, policy in self.watched.items()}

    def same(self, property_name: str, one: str, other: str) -> bool:
        """Whether two texts of a property mean one value, as HubSpot writes some of them anew."""
        field = self.by_property.get(property_name)
        return one == other or (field is not None and field.kind.same(one, other))

    def is_among(self, property_name: str, text: str, texts: Iterable[str]) -> bool:
        """Whether a text of a property means the same as one of others."""
        return any(self.same(property_name, each, text) for each in texts)


def selected(
    names: Iterable[str],
    *,
    own: tuple[Field, ...],
    properties: Mapping[str, str],
    policies: Mapping[str, Policy | None],
) -> list[Field]:
    """The fields that ``names`` of fields and sets turn on, in the order of their declaration.

    ``properties`` names the property of each field, ``policies`` what may be written over there. ``own``
    fields come last.
    """
    wanted = set(names)
    return [
        replace(field, property_name=properties[field.name], write=policies[field.name])
        for field in chain(FIELDS, own)
        if not wanted.isdisjoint((field.name, field.member, EVERYTHING))
    ]


BASIC_FIELDS = SyncedFields()
"""As they are without any setting."""
