"""The visitors of a website: where its list is, and how it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from etl.extract.extraction import Extraction
from etl.extract.paging import Walk, place
from etl.extract.payload import read_payload
from etl.fields import BASIC_FIELDS
from etl.models.clocks import Clocks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.extract.client import Answer, ZenovayClient
    from etl.extract.paging import Dialect
    from etl.extract.payload import Payload
    from etl.extract.windows import Span
    from etl.fields import SyncedFields
    from etl.models.reading import Reading


class ZenovayVisitors:
    """The source of visitors: what the rows say of the ``synced`` fields.

    ``page_size`` is lowered to the largest that the API allows.
    """

    def __init__(
        self,
        client: ZenovayClient,
        *,
        paging: Dialect,
        page_size: int,
        synced: SyncedFields = BASIC_FIELDS,
    ) -> None:
        self._client = client
        self._synced = synced
        self._paging = paging
        self._page_size = page_size

    @property
    def requests(self) -> int:
        """How many HTTP requests the client has made, retries included."""
        return self._client.requests

    def read(self, reading: Reading) -> Extraction:
        """Every page of the window that ``reading`` asks for; at least one, be it empty.

        Each ``next`` blocks for a request or two. Rows later than the source's clock are out of the window:
        their time will come. Raises the errors of ZenovayClient.get, ContractBrokenError for pages without
        end, and UnavailableError for rows that move faster than they can be read.
        """
        rows = ZenovayList(self._client, reading.website, self._paging, self._page_size, self._synced)
        return Extraction(rows, reading)


class ZenovayList:
    """One website's rows, in the dialect that its API speaks."""

    def __init__(
        self, client: ZenovayClient, website: str, dialect: Dialect, size: int, synced: SyncedFields
    ) -> None:
        self.client = client
        self.synced = synced
        self._dialect: Dialect = dialect
        self._size = size
        self._path = f"/analytics/{quote(website, safe='')}/visitors"

    def walk(self, *, start: int, tail: Sequence[str]) -> Walk:
        """A walk that begins at ``start``, behind the rows named in ``tail``."""
        where = f"Zenovay {self._path}"
        return Walk(self._dialect, size=self._size, where=where, start=start, tail=tail)

    def page(self, span: Span, walk: Walk) -> Answer[Payload]:
        """The next page of ``walk``."""
        return self._ask(span, walk.params)

    def sample(self, span: Span, offset: int, size: int) -> tuple[int, list[Any]]:
        """A few rows from about ``offset`` on, and where exactly they begin."""
        asked = place(self._dialect, offset, size, beyond=offset)
        return asked.offset, self._ask(span, asked.params).value.rows

    def now(self) -> datetime:
        """The source's clock, as far as it is known before it is asked."""
        return self.client.budget.now()

    def clocks(self, answer: Answer[Payload]) -> Clocks:
        """What the answer says of the time, beside our own clock from before the question."""
        clocks = Clocks(answer.value.clock, answer.date, answer.asked_at)
        if clocks.stated or clocks.date:
            self.client.budget.keep_time(clocks.believed)
        return clocks

    def _ask(self, span: Span, params: dict[str, str]) -> Answer[Payload]:
        in_range = {"range": span.range, **params}
        if self._dialect == "page":
            in_range["timeRange"] = span.range
        return self.client.get(self._path, in_range, readable=read_payload)
