"""A HubSpot to ask, every answer of which is held against its OpenAPI documents, and who asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from openapi import observed
from storm import Storm

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox() -> Iterator[Storm]:
    with observed() as observers, Storm(observers=observers) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Storm) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {sandbox.hubspot.access_token}"}
    with httpx.Client(base_url=sandbox.hubspot_url, headers=headers) as client:
        yield client
