"""What one writes in an afternoon: httpx, a loop, no state."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH = 100


def pages(client: httpx.Client) -> Iterator[list[dict[str, Any]]]:
    url = f"{os.environ['ZENOVAY_BASE_URL']}/analytics/{os.environ['ZENOVAY_WEBSITE_ID']}/visitors"
    offset, more = 0, True
    while more:
        params = {"range": "30d", "limit": "1000", "offset": str(offset)}
        content = patiently(client.build_request("GET", url, params=params), client).json()["data"]
        yield content["visitors"]
        more = content["pagination"]["has_more"]
        offset += len(content["visitors"])


def is_wanted(row: dict[str, Any]) -> bool:
    return bool(row["email"]) or "SKIP_ANONYMOUS" not in os.environ


def send(client: httpx.Client, rows: list[dict[str, Any]]) -> None:
    url = f"{os.environ['HUBSPOT_BASE_URL']}/crm/objects/2026-03/contacts/batch/upsert"
    headers = {"Authorization": f"Bearer {os.environ['HUBSPOT_ACCESS_TOKEN']}"}
    body = {"inputs": [contact(row) for row in rows]}
    reply = patiently(client.build_request("POST", url, json=body, headers=headers), client).json()
    if len(reply["results"]) != len(rows):
        raise SystemExit("HubSpot left contacts out.")


def contact(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["email"] or row["id"],
        "idProperty": "email" if row["email"] else "zenovay_visitor_id",
        "properties": {
            "country": row["country_code"],
            "zenovay_last_seen": row["visited_at"],
            "zenovay_pageviews": str(row["pageviews"]),
        },
    }


def patiently(request: httpx.Request, client: httpx.Client) -> httpx.Response:
    while (reply := client.send(request)).status_code == httpx.codes.TOO_MANY_REQUESTS:
        time.sleep(float(reply.headers.get("Retry-After", "1")))
    return reply.raise_for_status()


def main() -> None:
    with httpx.Client(timeout=60, headers={"X-API-Key": os.environ["ZENOVAY_API_KEY"]}) as client:
        for page in pages(client):
            rows = [row for row in page if is_wanted(row)]
            for start in range(0, len(rows), BATCH):
                send(client, rows[start : start + BATCH])


if __name__ == "__main__":
    main()
