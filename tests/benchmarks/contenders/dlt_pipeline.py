"""The same job for dlt: its REST source with ``incremental``, and a destination of batches of 100."""

from __future__ import annotations

import os
from typing import Any

import dlt
from dlt.sources.helpers import requests
from dlt.sources.rest_api import rest_api_source

LONG_AGO = "2000-01-01T00:00:00.000Z"


def send(items: Any, table: Any) -> None:
    url = f"{os.environ['HUBSPOT_BASE_URL']}/crm/objects/2026-03/contacts/batch/upsert"
    headers = {"Authorization": f"Bearer {os.environ['HUBSPOT_ACCESS_TOKEN']}"}
    body = {"inputs": [contact(row) for row in items]}
    reply = requests.post(url, json=body, headers=headers)
    reply.raise_for_status()
    if len(reply.json()["results"]) != len(items):
        raise SystemExit("HubSpot left contacts out.")


def is_wanted(row: dict[str, Any]) -> bool:
    return bool(row.get("email"))


def contact(row: dict[str, Any]) -> dict[str, Any]:
    email = row.get("email")
    return {
        "id": email or row["id"],
        "idProperty": "email" if email else "zenovay_visitor_id",
        "properties": {
            "country": row["country_code"],
            "zenovay_last_seen": str(row["visited_at"]),
            "zenovay_pageviews": str(row["pageviews"]),
        },
    }


def main() -> None:
    key = {"type": "api_key", "name": "X-API-Key", "api_key": os.environ["ZENOVAY_API_KEY"]}
    source = rest_api_source({
        "client": {"base_url": os.environ["ZENOVAY_BASE_URL"], "auth": {**key, "location": "header"}},
        "resources": [
            {
                "name": "visitors",
                "processing_steps": [{"filter": is_wanted}] if "SKIP_ANONYMOUS" in os.environ else [],
                "endpoint": {
                    "path": f"analytics/{os.environ['ZENOVAY_WEBSITE_ID']}/visitors",
                    "params": {"range": "30d"},
                    "data_selector": "data.visitors",
                    "paginator": {
                        "type": "offset",
                        "limit": 1000,
                        "total_path": None,
                        "has_more_path": "data.pagination.has_more",
                    },
                    "incremental": {"cursor_path": "visited_at", "initial_value": LONG_AGO},
                },
            }
        ],
    })  # fmt: skip
    destination = dlt.destination(send, name="hubspot", batch_size=100)
    dlt.pipeline("visitors", destination=destination, pipelines_dir="pipelines").run(source)


if __name__ == "__main__":
    main()
