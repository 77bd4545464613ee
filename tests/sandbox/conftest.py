"""A HubSpot to ask, every answer of which is held against its OpenAPI documents, and who asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from contacts_api import OBJECTS, STRICT, ContactsApi
from fakes import FakeClock
from openapi import observed
from storm import Storm, StormyHubSpot

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox() -> Iterator[Storm]:
    with observed() as observers, Storm(observers=observers) as sandbox:
        yield sandbox


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def clocked(clock: FakeClock) -> Iterator[Storm]:
    """A sandbox whose HubSpot goes by ``clock``."""
    with observed() as observers, Storm(clock=clock, observers=observers) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Storm) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {sandbox.hubspot.access_token}"}
    with httpx.Client(base_url=sandbox.hubspot_url, headers=headers) as client:
        yield client


@pytest.fixture(params=OBJECTS)
def api(request: pytest.FixtureRequest, sandbox: Storm, client: httpx.Client) -> ContactsApi:
    """A HubSpot that is set up, under each family of paths."""
    sandbox.hubspot.install_properties()
    return ContactsApi(client, str(request.param))


@pytest.fixture
def strict_api(sandbox: Storm, client: httpx.Client) -> ContactsApi:
    """The version that enforces the portal's validation rules."""
    sandbox.hubspot.install_properties()
    return ContactsApi(client, STRICT)


@pytest.fixture
def hubspot(sandbox: Storm) -> StormyHubSpot:
    return sandbox.hubspot
