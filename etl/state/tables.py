"""The tables. ``migrations/`` builds them; a test keeps the two equal. Partial indexes stand beside."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)

from etl.instants import instant, microseconds

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as whole microseconds since 1970: exact, and ordered in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 -- SQLAlchemy's names
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 -- SQLAlchemy's names
        return None if value is None else instant(value)


_Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

websites = Table(
    "websites",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("watermark", Instant),
    Column("swept", Instant, comment="the source's clock at the last reading of the whole newest range"),
    Column("newest_first", Boolean, comment="how the rows are listed; null: not seen yet"),
    Column("read_at", Instant, comment="our clock when the last reading began that came to its end"),
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("kind", String(7), nullable=False),
    Column("key", Text, nullable=False),
    Column("facts", Text, comment="JSON: what HubSpot should hold, by field; null: no longer wanted"),
    Column("wanted", LargeBinary, comment="fingerprint of what HubSpot should hold; null: no longer wanted"),
    Column("confirmed", LargeBinary, comment="fingerprint that HubSpot last confirmed"),
    Column("refused", LargeBinary, comment="fingerprint that HubSpot last rejected"),
    Column("blocked", Boolean, nullable=False, comment="rejected for good, until somebody retries it"),
    Column("due", Boolean, nullable=False),
    Column("record", Text),
    Column(
        "made",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="this program has created the record",
    ),
    Column(
        "gone",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="the record was there once and is not any more",
    ),
    Column("absent", LargeBinary, comment="fingerprint for which nobody was found in HubSpot"),
    Column("absent_at", Instant, comment="our clock when nobody was found"),
    Column("into", _Id, ForeignKey("contacts.id"), comment="the contact that this is another key of"),
    Column("remains", Text, comment="JSON: the facts of its visitors that are not kept any more"),
    Column(
        "unanswered",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="runs in a row in which HubSpot gave no verdict",
    ),
    Column("written", Text, comment="JSON: the texts that HubSpot confirmed last, by property"),
    Column("maybe", Text, comment="JSON: lists of texts of ours that it may hold instead"),
    Column("kept", Text, comment="JSON: texts of ours that gave way to somebody else's"),
    Column("kept_at", Instant, comment="our clock when that was seen last"),
    UniqueConstraint("key", "kind"),
    CheckConstraint("kind IN ('email', 'visitor', 'record')", name="kind"),
)

visitors = Table(
    "visitors",
    metadata,
    Column("website_id", Integer, ForeignKey("websites.id"), primary_key=True, autoincrement=False),
    Column("id", Text, primary_key=True),
    Column("contact_id", _Id, ForeignKey("contacts.id"), index=True),
    Column("last_seen", Instant, nullable=False),
    Column(
        "facts",
        Text,
        nullable=False,
        server_default=text("'{}'"),
        comment="JSON: what its rows state, by field",
    ),
    Column("email", Text),
    Column("email_at", Instant),
    Column("opted_out", Boolean),
    Column("opted_out_at", Instant),
    Column(
        "excluded",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="the settings leave it out: nothing but its id is kept",
    ),
    sqlite_with_rowid=False,
)

links = Table(
    "links",
    metadata,
    Column("visitor_id", Text, primary_key=True),
    Column("record", Text, primary_key=True, index=True),
    Column("since", Instant, nullable=False, comment="HubSpot's clock when the record got the id"),
    sqlite_with_rowid=False,
)

forgotten = Table(
    "forgotten",
    metadata,
    Column("digest", LargeBinary, primary_key=True, comment="keyed hash of a key of somebody forgotten"),
    sqlite_with_rowid=False,
)

rejections = Table(
    "rejections",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("kind", String(7), nullable=False),
    Column("website_id", Integer, ForeignKey("websites.id")),
    Column("contact_id", _Id, ForeignKey("contacts.id"), unique=True),
    Column("digest", LargeBinary),
    Column("key", Text, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("correlation_id", Text),
    Column("attempts", Integer, nullable=False),
    Column("first", Instant, nullable=False),
    Column("last", Instant, nullable=False),
    UniqueConstraint("website_id", "digest"),
    CheckConstraint("kind IN ('row', 'contact')", name="kind"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("website_id", Integer, ForeignKey("websites.id"), nullable=False),
    Column("kind", String(11), nullable=False),
    Column("started", Instant, nullable=False),
    Column("ended", Instant),
    Column("status", String(10), comment="null while the run goes on, and for ever if it was killed"),
    Column("summary", Text),
    Column("number", Integer, comment="what verdicts name it by; null for those of older versions"),
)
Index("ix_runs_website_id_started", runs.c.website_id, runs.c.started)
Index("ix_runs_number", runs.c.number)

verdicts = Table(
    "verdicts",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=False, comment="the number of a run"),
    Column(
        "contact_id",
        _Id,
        ForeignKey("contacts.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    ),
    Column("outcome", String(8), nullable=False),
    Column("times", Integer, nullable=False, comment="how often in this run"),
    Column("record", Text, comment="the record that it was then"),
    Column("before", Text, comment="JSON: the texts that the run replaced, by property"),
    Column("after", Text, comment="JSON: the texts that it wrote there"),
    sqlite_with_rowid=False,
)
"""What each run did to each contact, as long as it can be undone."""

days = Table(
    "days",
    metadata,
    Column("website_id", Integer, ForeignKey("websites.id"), primary_key=True, autoincrement=False),
    Column("day", Instant, primary_key=True, autoincrement=False, comment="when it began, UTC"),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False, comment="to the source"),
    sqlite_with_rowid=False,
)
"""What the runs did that are forgotten."""

backfills = Table(
    "backfills",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("website_id", Integer, ForeignKey("websites.id"), nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("open", Boolean, nullable=False, comment="no end was asked for: until is when it began"),
    Column("started", Instant, nullable=False),
    Column("offset", BigInteger, comment="where to go on in the list; null: nothing was read yet"),
    Column("tail", Text, comment="JSON: the names of the rows before it"),
    Column("reached", Instant, comment="all later rows of the window are absorbed; null: no order helps"),
    Column("requests", BigInteger, nullable=False),
    UniqueConstraint("website_id", "since", "until", "open"),
)

lock = Table(
    "lock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("owner", String(32), nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

limits = Table(
    "limits",
    metadata,
    Column("api", String(16), primary_key=True),
    Column("account", String(16), primary_key=True, comment="digest of the credential"),
    Column("stopped_until", Instant),
    Column("stop_reason", Text),
    Column("stop_kind", String(16), comment="how long it can be believed"),
    Column("stop_said_by", Text),
    Column("stop_made", Instant, comment="our clock when the stop was made"),
    Column("sent", Text, comment="JSON: when the requests of the last window were sent, microseconds"),
    Column("stated", Integer, comment="the limit that the API stated, in requests per window"),
    Column("used", BigInteger, comment="requests of this month"),
    Column("month_limit", BigInteger, comment="as the API states it"),
    Column("resets_at", Instant, comment="when the month ends, by the API's clock"),
    Column("ahead", BigInteger, comment="of our clock, microseconds"),
    Column("beside", Text, comment="JSON: when requests beside a run were sent, microseconds"),
    Column(
        "beside_used",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="requests beside a run that used does not count yet",
    ),
)

readings = Table(
    "readings",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("website", Text, nullable=False),
    Column("range", String(3), nullable=False),
    Column("at", Instant, nullable=False, comment="our clock"),
    Column("traffic", Text, nullable=False, comment="JSON"),
    Column("reported", Boolean, nullable=False, server_default=false(), comment="a report was made of it"),
)
Index("ix_readings_website_range_at", readings.c.website, readings.c.range, readings.c.at)

alerts = Table(
    "alerts",
    metadata,
    Column("website", Text, primary_key=True),
    Column("condition", Text, primary_key=True),
    Column("holds", Boolean, nullable=False),
    Column("since", Instant, nullable=False, comment="our clock when that began"),
    Column("judged", Instant, nullable=False, comment="when the last reading was taken"),
    sqlite_with_rowid=False,
)

messages = Table(
    "messages",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("made", Instant, nullable=False),
    Column("claimed", Instant, comment="somebody has begun to send it"),
)

facts = Table(
    "facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
