"""Walking through the pages of one window: which to ask for next, and when to stop.

Pure: no HTTP, and no idea of what a row means.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal

from etl.errors import ContractBrokenError

if TYPE_CHECKING:
    from etl.extract.payload import Payload

Dialect = Literal["offset", "page"]

_LARGEST = {"offset": 1000, "page": 100}
_PARAMETER = {"offset": "offset", "page": "page"}
_OTHER = {"offset": "page", "page": "offset"}


class Turn(Enum):
    """What to do with the page just received, and after it."""

    USE_AND_GO_ON = "use and go on"
    USE_AND_STOP = "use and stop"
    DROP_AND_STOP = "drop and stop"


class Paging:
    """The place in one window.

    With a ``pagination`` block, ``has_more`` decides. Without one the end shows only in an empty page, or in
    a page identical to the one before: then the server does not page at all.
    """

    def __init__(self, dialect: Dialect, *, size: int, where: str) -> None:
        self._dialect = dialect
        self._size = min(size, _LARGEST[dialect])
        self._where = where
        self._rows = 0
        self._pages = 0
        self._seen: set[bytes] = set()
        self._previous = b""

    def params(self) -> dict[str, str]:
        """The query parameters of the next page."""
        if self._dialect == "offset":
            return {"limit": str(self._size), "offset": str(self._rows)}
        return {"page": str(self._pages + 1), "per_page": str(self._size)}

    def take(self, payload: Payload) -> Turn:
        """Move behind ``payload``. Raises ContractBrokenError for pages that would never end.

        The server may cap the page size, so a page shorter than asked is not the last, and the offset moves
        by what came.
        """
        if not payload.rows:
            return self._end(payload)
        if payload.has_more is None and payload.digest == self._previous:
            return Turn.DROP_AND_STOP
        if payload.digest in self._seen:
            raise self._repeating()
        self._seen.add(payload.digest)
        self._previous = payload.digest
        self._rows += len(payload.rows)
        self._pages += 1
        return Turn.USE_AND_STOP if payload.has_more is False else Turn.USE_AND_GO_ON

    def _end(self, payload: Payload) -> Turn:
        if payload.has_more:
            raise ContractBrokenError(
                f"{self._where}: page {self._pages + 1} is empty and says that more follow.",
                fix="Nothing is lost; run again later, and tell Zenovay if it stays so.",
            )
        return Turn.USE_AND_STOP

    def _repeating(self) -> ContractBrokenError:
        parameter, other = _PARAMETER[self._dialect], _OTHER[self._dialect]
        return ContractBrokenError(
            f"{self._where}: a repeating page; page {self._pages + 1} holds the rows of an earlier page, "
            f"so the server ignores the parameter {parameter}.",
            fix=f"Set ZENOVAY_PAGING={other}.",
        )
