"""The floor: moves as many bytes as the job must, and looks at none of them.

Arguments: ``both``, ``source`` or ``crm``; the number of contacts; how many batches to send at a time.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx

BATCH = 100


def read_pages(client: httpx.Client) -> None:
    url = f"{os.environ['ZENOVAY_BASE_URL']}/analytics/{os.environ['ZENOVAY_WEBSITE_ID']}/visitors"
    offset, more = 0, True
    while more:
        reply = client.get(url, params={"range": "30d", "limit": "1000", "offset": str(offset)})
        more = b'"has_more":true' in reply.content[-200:]
        offset += 1000


def send_batches(client: httpx.Client, contacts: int, concurrency: int) -> None:
    url = f"{os.environ['HUBSPOT_BASE_URL']}/crm/objects/2026-03/contacts/batch/upsert"
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
    body = json.dumps({"inputs": [contact(number) for number in range(BATCH)]})

    def send(_batch: int) -> None:
        client.post(url, content=body, headers=headers).raise_for_status()

    batches = range((contacts + BATCH - 1) // BATCH)
    if concurrency == 1:
        for batch in batches:
            send(batch)
        return
    with ThreadPoolExecutor(concurrency) as threads:
        list(threads.map(send, batches))


def contact(number: int) -> dict[str, object]:
    properties = {
        "country": "Switzerland",
        "zenovay_last_seen": "2026-02-07T08:05:00.000Z",
        "zenovay_pageviews": "3",
    }
    address = f"visitor.{number}@example.test"
    return {"id": address, "idProperty": "email", "objectWriteTraceId": str(number), "properties": properties}


def main() -> None:
    sides, contacts, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with httpx.Client(timeout=60) as client:
        if sides != "crm":
            read_pages(client)
        if sides != "source":
            send_batches(client, contacts, concurrency)


if __name__ == "__main__":
    main()
