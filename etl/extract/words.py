"""What the pipeline finds wrong with Zenovay's side, in words for the users of this program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import ContractBrokenError, TooManyRejectedError

if TYPE_CHECKING:
    from datetime import datetime


class ZenovayWords:
    """The part of a source that words errors; it knows the settings' names."""

    api = "zenovay"

    @staticmethod
    def changed_api(rows: int, code: str, reason: str) -> ContractBrokenError:
        return ContractBrokenError(
            f"Zenovay sent {rows} new rows in one answer, all of them refused for one reason,"
            f" {code}: {reason}",
            fix="Nothing is lost: the watermark stays, and none of them is listed. The API has changed, or is"
            " not Zenovay's; a version of this program that reads these rows takes them up.",
        )

    @staticmethod
    def too_many_unreadable(refused: int, rows: int, *, again: str) -> TooManyRejectedError:
        return TooManyRejectedError(
            f"{refused} of {rows} rows in the window were refused, more than SYNC_MAX_REJECTED allows.",
            fix=f"See: visitor-sync rejections. {again} once the cause is mended, or allow for more.",
        )

    @staticmethod
    def older_than_kept(since: datetime) -> str:
        return (
            f"Rows from before {since:%Y-%m-%d} are left out: who was seen then is not kept any more"
            " (SYNC_RETENTION), and would be counted twice."
        )

    @staticmethod
    def nothing_listed(range_: str, before: int | None) -> str:
        """``before`` rows were listed the last time; None: that was not believed either."""
        known = "" if before is None else f", where it listed {before} the time before"
        return f"Zenovay's answer is degraded: no row in the last {range_}{known}."
