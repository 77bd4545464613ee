"""Synced facts are JSON, one column each of visitors and contacts; identity stays in columns of its own.

Which answers fall short is told by one rule, which needs no columns.

Nothing becomes due by it: fingerprints stay, and the properties' names are kept as a map from now on.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Callable

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OF_VISITOR = {
    "country": "country",
    "country@": "CASE WHEN country IS NOT NULL AND country_at <> last_seen THEN country_at END",
    "last_seen": "last_seen",
    "pageviews": "pageviews",
}
_OF_CONTACT = {name: name for name in ("country", "last_seen", "pageviews")}


def upgrade() -> None:
    op.add_column(
        "visitors",
        sa.Column(
            "facts",
            sa.Text(),
            nullable=False,
            server_default=sa.text("'{}'"),
            comment="JSON: what its rows state, by field",
        ),
    )
    op.add_column(
        "contacts",
        sa.Column(
            "facts",
            sa.Text(),
            nullable=True,
            comment="JSON: what HubSpot should hold, by field; null: no longer wanted",
        ),
    )
    op.execute(f"UPDATE visitors SET facts = {_packed(_OF_VISITOR)}")  # noqa: S608 -- words of our own
    op.execute(f"UPDATE contacts SET facts = {_packed(_OF_CONTACT)} WHERE wanted IS NOT NULL")  # noqa: S608 -- the same
    for column in ("country", "country_at", "pageviews"):
        op.drop_column("visitors", column)
    for column in ("country", "last_seen", "pageviews"):
        op.drop_column("contacts", column)
    for column in ("strays", "traffic", "degraded_since", "degraded_why"):
        op.drop_column("websites", column)
    op.drop_column("backfills", "past")
    _rewrite_names(_map_of_repr)


def downgrade() -> None:
    past = "an offset behind the place that is searched for"
    op.add_column("backfills", sa.Column("past", sa.BigInteger(), nullable=True, comment=past))
    for name, comment in (
        ("strays", "JSON: the names of rows known to stand out of that order"),
        ("traffic", "JSON: rows per ten minutes of the last day, as pairs"),
    ):
        op.add_column("websites", sa.Column(name, sa.Text(), nullable=True, comment=comment))
    since = "since when answers fall short; null: they do not"
    op.add_column("websites", sa.Column("degraded_since", sa.BigInteger(), nullable=True, comment=since))
    op.add_column("websites", sa.Column("degraded_why", sa.Text(), nullable=True))
    op.add_column("visitors", sa.Column("pageviews", sa.BigInteger(), nullable=True))
    op.add_column("visitors", sa.Column("country", sa.String(length=2), nullable=True))
    op.add_column("visitors", sa.Column("country_at", sa.BigInteger(), nullable=True))
    op.add_column("contacts", sa.Column("last_seen", sa.BigInteger(), nullable=True))
    op.add_column("contacts", sa.Column("country", sa.String(length=2), nullable=True))
    op.add_column("contacts", sa.Column("pageviews", sa.BigInteger(), nullable=True))
    number, word = _unpacked("BIGINT"), _unpacked("VARCHAR(2)")
    op.execute(
        f"UPDATE visitors SET pageviews = {number('pageviews')}, country = {word('country')},"  # noqa: S608 -- the same
        f" country_at = CASE WHEN {word('country')} IS NOT NULL"
        f" THEN COALESCE({number('country@')}, last_seen) END"
    )
    op.execute(
        f"UPDATE contacts SET last_seen = {number('last_seen')}, country = {word('country')},"  # noqa: S608 -- the same
        f" pageviews = {number('pageviews')}"
    )
    op.drop_column("visitors", "facts")
    op.drop_column("contacts", "facts")
    _rewrite_names(_repr_of_map)


def _packed(columns: dict[str, str]) -> str:
    """JSON of those columns that are not null."""
    pairs = ", ".join(f"'{name}', {column}" for name, column in columns.items())
    if op.get_bind().dialect.name == "sqlite":
        return f"json_patch('{{}}', json_object({pairs}))"
    return f"CAST(json_strip_nulls(json_build_object({pairs})) AS TEXT)"


def _unpacked(kind: str) -> Callable[[str], str]:
    if op.get_bind().dialect.name == "sqlite":
        return lambda name: f"""json_extract(facts, '$."{name}"')"""
    return lambda name: f"CAST(CAST(facts AS json) ->> '{name}' AS {kind})"


def _rewrite_names(rewritten: Callable[[str], str]) -> None:
    facts = sa.table("facts", sa.column("name"), sa.column("value"))
    mine = facts.c.name == "property_names"
    before = op.get_bind().execute(sa.select(facts.c.value).where(mine)).scalar()
    if before is not None:
        op.get_bind().execute(sa.update(facts).where(mine).values(value=rewritten(before)))


def _map_of_repr(text: str) -> str:
    """``PropertyNames(country='country', …)`` as JSON."""
    return json.dumps(dict(re.findall(r"(\w+)='(\w+)'", text)), sort_keys=True)


def _repr_of_map(text: str) -> str:
    names = json.loads(text)
    known = [f"{name}={names[name]!r}" for name in ("country", "last_seen", "pageviews", "visitor_id")]
    return f"PropertyNames({', '.join(known)})"
