"""The source of visitors, as the pipeline sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.exclusions import NOBODY
from etl.extract.backfill import backfill
from etl.extract.endpoint import Endpoint
from etl.extract.newest import newest
from etl.extract.plan import plan
from etl.extract.words import ZenovayWords
from etl.fields import BASIC_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.exclusions import Exclusions
    from etl.extract.client import ZenovayClient
    from etl.extract.forecast import Forecast
    from etl.extract.paging import Dialect
    from etl.fields import SyncedFields
    from etl.models.reading import Page, ReadRequest, ReadResult


class ZenovayVisitors(ZenovayWords):
    """The source of visitors: what the rows say of the ``synced`` fields, but for whom ``exclusions`` cover.

    ``page_size`` is lowered to the largest that the API allows.
    """

    def __init__(
        self,
        client: ZenovayClient,
        *,
        paging: Dialect,
        page_size: int,
        synced: SyncedFields = BASIC_FIELDS,
        exclusions: Exclusions = NOBODY,
    ) -> None:
        self._client = client
        self._synced = synced
        self._exclusions = exclusions
        self._paging = paging
        self._page_size = page_size

    @property
    def requests(self) -> int:
        """How many HTTP requests the client has made, retries included."""
        return self._client.requests

    def read(self, request: ReadRequest) -> Iterator[Page | ReadResult]:
        """Every page of the window that ``request`` asks for; at least one, be it empty. Then how it ended.

        Each ``next`` blocks for a request or two. Rows later than the source's clock are out of the window:
        their time will come. Raises the errors of ZenovayClient.get, ContractBrokenError for pages without
        end, and UnavailableError for rows that move or leave faster than they can be read.
        """
        endpoint = self._endpoint(request.website)
        return backfill(endpoint, request) if request.past else newest(endpoint, request)

    def plan(self, request: ReadRequest) -> Forecast:
        """What reading a window of the past will cost, by two requests at most. Raises what ``read`` does."""
        return plan(self._endpoint(request.website), request)

    def _endpoint(self, website: str) -> Endpoint:
        return Endpoint(self._client, website, self._paging, self._page_size, self._synced, self._exclusions)
