"""The naive loop: HubSpot's official client with its typed models, one batch after another.

The time of the last run is kept in a file; rows that were seen before it are passed over.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from hubspot import HubSpot
from hubspot.crm.contacts import (
    ApiException,
    BatchInputSimplePublicObjectBatchInputUpsert,
    SimplePublicObjectBatchInputUpsert,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 100
TOO_MANY = 429
LAST_RUN = Path("last_run.txt")


def pages() -> Iterator[list[dict[str, Any]]]:
    url = f"{os.environ['ZENOVAY_BASE_URL']}/analytics/{os.environ['ZENOVAY_WEBSITE_ID']}/visitors"
    session = requests.Session()
    session.headers["X-API-Key"] = os.environ["ZENOVAY_API_KEY"]
    offset, more = 0, True
    while more:
        params: dict[str, str | int] = {"range": "30d", "limit": 1000, "offset": offset}
        reply = session.get(url, params=params, timeout=60)
        if reply.status_code == TOO_MANY:
            time.sleep(float(reply.headers.get("Retry-After", "1")))
            continue
        reply.raise_for_status()
        content = reply.json()["data"]
        yield content["visitors"]
        more = content["pagination"]["has_more"]
        offset += len(content["visitors"])


def is_wanted(row: dict[str, Any]) -> bool:
    return bool(row["email"]) or "SKIP_ANONYMOUS" not in os.environ


def contact(row: dict[str, Any]) -> Any:
    return SimplePublicObjectBatchInputUpsert(
        id=row["email"] or row["id"],
        id_property="email" if row["email"] else "zenovay_visitor_id",
        properties={
            "country": row["country_code"],
            "zenovay_last_seen": row["visited_at"],
            "zenovay_pageviews": str(row["pageviews"]),
        },
    )


def send(batch_api: Any, rows: list[dict[str, Any]]) -> None:
    inputs = BatchInputSimplePublicObjectBatchInputUpsert(inputs=[contact(row) for row in rows])
    while True:
        try:
            reply = batch_api.upsert(batch_input_simple_public_object_batch_input_upsert=inputs)
        except ApiException as refusal:
            if refusal.status != TOO_MANY:
                raise
            time.sleep(1)
        else:
            if len(reply.results) != len(rows):
                raise SystemExit("HubSpot left contacts out.")
            return


def main() -> None:
    started = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    last_run = LAST_RUN.read_text() if LAST_RUN.exists() else ""
    official = HubSpot(access_token=os.environ["HUBSPOT_ACCESS_TOKEN"], host=os.environ["HUBSPOT_BASE_URL"])
    batch_api = official.crm.contacts.batch_api
    for rows in pages():
        new = [row for row in rows if row["visited_at"] > last_run and is_wanted(row)]
        for start in range(0, len(new), BATCH):
            send(batch_api, new[start : start + BATCH])
    LAST_RUN.write_text(started)


if __name__ == "__main__":
    main()
