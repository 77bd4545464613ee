"""POST …/search: the contacts that pass, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from etl.sandbox.hubspot import object_json
from etl.sandbox.hubspot_errors import invalid
from etl.sandbox.search_filters import (
    Comparable,
    FilterGroups,
    comparable_value,
    filter_groups,
    passes,
    searchable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.sandbox.hubspot_schema import Definition, Schema

LONGEST_BODY = 3_000
MOST_RESULTS = 10_000
MOST_A_PAGE = 200
_DIRECTIONS = ("ASCENDING", "DESCENDING")
_SHOWN = ("email", "firstname", "lastname")


@dataclass(frozen=True, slots=True)
class Search:
    """What a request asks for."""

    groups: FilterGroups
    sort: Definition
    descending: bool
    limit: int
    after: int
    names: tuple[str, ...]

    @classmethod
    def of(cls, body: Mapping[str, Any], schema: Schema) -> Self:
        """Raises RefusedError."""
        if "query" in body:
            raise invalid("This sandbox searches by filterGroups only, not by query.")
        limit, after = _limit(body.get("limit", 10)), _after(body.get("after") or "0")
        if after + limit > MOST_RESULTS:
            raise invalid(f"The paging limit of a search is {MOST_RESULTS} results; use a narrower filter.")
        name, direction = _sort(body.get("sorts") or ["createdate"])
        names = body.get("properties", [])
        if not isinstance(names, list):
            raise invalid("Invalid input JSON: properties must be a list")
        return cls(
            groups=filter_groups(body.get("filterGroups", []), schema),
            sort=searchable(schema, name),
            descending=direction == "DESCENDING",
            limit=limit,
            after=after,
            names=tuple(str(each) for each in names) or _SHOWN,
        )

    def answer(self, contacts: Iterable[Mapping[str, str]]) -> dict[str, Any]:
        found = self._sorted([contact for contact in contacts if passes(self.groups, contact)])
        end = self.after + self.limit
        page = [object_json(contact, self.names) for contact in found[self.after : end]]
        paging = {"paging": {"next": {"after": str(end)}}} if end < len(found) else {}
        return {"total": len(found), "results": page, **paging}

    def _sorted(self, found: list[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """Equal ones by id; those without the property come last."""
        by_id = sorted(found, key=lambda contact: int(contact["hs_object_id"]))
        valued = [contact for contact in by_id if self.sort.name in contact]
        without = [contact for contact in by_id if self.sort.name not in contact]
        return [*sorted(valued, key=self._rank, reverse=self.descending), *without]

    def _rank(self, contact: Mapping[str, str]) -> Any:
        ranked: Comparable = comparable_value(self.sort, contact[self.sort.name])
        return ranked


def _limit(raw: Any) -> int:
    if not isinstance(raw, int) or not 1 <= raw <= MOST_A_PAGE:
        raise invalid(f"Invalid input JSON: limit must be between 1 and {MOST_A_PAGE}")
    return raw


def _after(raw: Any) -> int:
    if not isinstance(raw, str) or not raw.isascii() or not raw.isdigit():
        raise invalid("Invalid input JSON: after must be a number as a string")
    return int(raw)


def _sort(raw: Any) -> tuple[Any, str]:
    """The name and the direction of the one sort."""
    if not isinstance(raw, list) or len(raw) != 1:
        raise invalid("Invalid input JSON: one sort is allowed")
    (sort,) = raw
    if isinstance(sort, str):
        return sort, _DIRECTIONS[0]
    if not isinstance(sort, dict) or sort.get("direction", _DIRECTIONS[0]) not in _DIRECTIONS:
        raise invalid("Invalid input JSON: a sort has a propertyName and a direction")
    return sort.get("propertyName"), sort.get("direction", _DIRECTIONS[0])
