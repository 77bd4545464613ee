"""The tables that portals share. ``migrations/fleet`` builds them; a test keeps the two equal.

They stand beside the states: in a schema of PostgreSQL, or in a SQLite file for one machine.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

from etl.state.tables import Instant
from etl.state.tables import metadata as state_metadata

metadata = MetaData(naming_convention=state_metadata.naming_convention)

_Id = BigInteger().with_variant(Integer, "sqlite")
_Stamps = ARRAY(BigInteger).with_variant(JSON, "sqlite")

facts = Table(
    "facts",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("value", Text, nullable=False),
)
"""Single facts, such as the version of the engine whose tables stand beside these."""

limits = Table(
    "limits",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("stamps", _Stamps, nullable=False),
    Column("stated", BigInteger),
    Column("used", BigInteger, nullable=False, server_default=text("0")),
    Column("period_limit", BigInteger),
    Column("period_ends", Instant),
    Column("ahead", BigInteger, nullable=False, server_default=text("0")),
    Column("paused_until", Instant),
    Column("stopped_until", Instant),
    Column("stop_reason", Text),
    Column("stop_kind", String(20)),
    Column("stop_said_by", Text),
    Column("stop_made", Instant),
)
"""One row for what several share: ``zenovay/KEY``, ``hubspot/PORTAL``, ``search/PORTAL``."""

portals = Table(
    "portals",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("paused_at", Instant),
    Column("resumes_at", Instant),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("contacts_due", BigInteger),
    Column("contacts_rejected", BigInteger),
    Column("account", BigInteger),
)
"""What holds for all websites of a portal. ``resumes_at``: nothing is deferred before, as it was down.

``account``: its HubSpot account by HubSpot's number, once a run has met it.
"""

sites = Table(
    "sites",
    metadata,
    Column("portal", String(100), primary_key=True),
    Column("website", String(255), primary_key=True),
    Column("every", BigInteger, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("at_once", Boolean, nullable=False, server_default=false()),
    Column("hurried", Boolean, nullable=False, server_default=false()),
    Column("worker", BigInteger),
    Column("running_since", Instant),
    Column("run", String(40)),
    Column("started", Instant),
    Column("ended", Instant),
    Column("succeeded", Instant),
    Column("exit_code", Integer),
    Column("reason", Text),
    Column("skipped", Text),
    Column("watermark", Instant),
    Column("failures", Integer, nullable=False, server_default=text("0")),
)
"""The schedule: when each website is due, who reads it now, and how that ended last.

``every`` is in seconds; ``worker`` and ``running_since`` are of the run that goes on. ``at_once``: somebody
asked for a run that obeys neither the minimum interval nor a stop; ``hurried``: the one that goes on is one.
``skipped``: why the last look found nothing to do so soon; how the run before it ended stays.
"""
Index("ix_sites_due_at", sites.c.due_at)

backfills = Table(
    "backfills",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("portal", String(100), nullable=False),
    Column("key", String(100), nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant),
    Column("asked_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("requests", BigInteger, nullable=False, server_default=text("0")),
    Column("rows", BigInteger, nullable=False, server_default=text("0")),
    Column("ended_at", Instant),
    Column("exit_code", Integer),
    Column("reason", Text),
    Column("failures", Integer, nullable=False, server_default=text("0")),
)
"""Past ranges that were asked for, of what is read with one key; read slice by slice between the runs.

``requests`` to Zenovay and ``rows`` are those of all slices so far.
"""

workers = Table(
    "workers",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(40), nullable=False),
    Column("started", Instant, nullable=False),
    Column("declares", Text, nullable=False),
    Column("gone_at", Instant),
)
"""Who the engine's workers are, by the id that it gave them, and the JSON of what each ``declares``.

``gone_at``: when it was seen that one died; None again where it was silent only.
"""
