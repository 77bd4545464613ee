"""The list of one website's rows: where it is, and how it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from etl.extract.paging import Pager, place
from etl.extract.payload import read_payload
from etl.models.clocks import Clocks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.exclusions import Exclusions
    from etl.extract.client import Answer, ZenovayClient
    from etl.extract.paging import Dialect
    from etl.extract.payload import Payload
    from etl.extract.windows import Span
    from etl.fields import SyncedFields


class Endpoint:
    """One website's rows, in the dialect that its API speaks.

    ``synced`` are the fields to read of them, ``exclusions`` say of whom nothing is read.
    """

    def __init__(
        self,
        client: ZenovayClient,
        website: str,
        dialect: Dialect,
        size: int,
        synced: SyncedFields,
        exclusions: Exclusions,
    ) -> None:
        self.synced = synced
        self.exclusions = exclusions
        self._client = client
        self._dialect: Dialect = dialect
        self._size = size
        self._path = f"/analytics/{quote(website, safe='')}/visitors"
        self._made_before = client.requests

    @property
    def requests(self) -> int:
        """HTTP requests made since this list was first thought of."""
        return self._client.requests - self._made_before

    @property
    def per_minute(self) -> int:
        """Requests that the plan allows."""
        return self._client.pace.limit

    @property
    def per_month(self) -> int:
        """Requests that the plan allows."""
        return self._client.budget.limit

    def pager(self, start: int = 0, tail: Sequence[str] = ()) -> Pager:
        """A pager that begins at ``start``, behind the rows named in ``tail``."""
        where = f"Zenovay {self._path}"
        return Pager(self._dialect, size=self._size, where=where, start=start, tail=tail)

    def page(self, span: Span, pager: Pager) -> Answer[Payload]:
        """The next page of ``pager``."""
        return self._ask(span, pager.params)

    def sample(self, span: Span, offset: int, size: int) -> tuple[int, list[Any]]:
        """A few rows from about ``offset`` on, and where exactly they begin."""
        asked = place(self._dialect, offset, size, beyond=offset)
        return asked.offset, self._ask(span, asked.params).value.rows

    def now(self) -> datetime:
        """The source's clock, as far as it is known before it is asked."""
        return self._client.budget.now()

    def clocks(self, answer: Answer[Payload]) -> Clocks:
        """What the answer says of the time, beside our own clock from before the question."""
        clocks = Clocks(answer.value.clock, answer.date, answer.asked_at)
        if clocks.stated or clocks.date:
            self._client.budget.keep_time(clocks.believed)
        return clocks

    def _ask(self, span: Span, params: dict[str, str]) -> Answer[Payload]:
        in_range = {"range": span.range, **params}
        if self._dialect == "page":
            in_range["timeRange"] = span.range
        return self._client.get(self._path, in_range, readable=read_payload)
