"""The sandbox as a thing that starts, stops, and is looked at."""

from __future__ import annotations

import builtins
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from storm import Fault, Storm

from etl.errors import SettingsError
from etl.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def test_it_starts_and_stops_again_and_again() -> None:
    for _ in range(5):
        with Sandbox() as sandbox:
            assert httpx.get(sandbox.url).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(sandbox.url)


def test_stopping_waits_for_nobody(recwarn: pytest.WarningsRecorder) -> None:
    failures: list[Exception] = []

    def ask(url: str) -> None:
        try:
            httpx.get(f"{url}/crm/properties/2026-03/contacts", timeout=30)
        except httpx.HTTPError as exc:
            failures.append(exc)

    with Storm() as sandbox:
        sandbox.hubspot.faults.add(Fault.hang(), times=3)
        threads = [threading.Thread(target=ask, args=(sandbox.url,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(sandbox.hubspot.requests) < 3:
            time.sleep(0.01)
    for thread in threads:
        thread.join(10)
    assert len(failures) == 3
    assert not recwarn.list


def test_several_live_side_by_side() -> None:
    with Sandbox() as one, Sandbox() as other:
        one.hubspot.seed({"email": "ann@example.test"})
        assert one.url != other.url
        assert (len(one.hubspot.contacts), len(other.hubspot.contacts)) == (1, 0)


def test_the_environment_points_at_it(sandbox: Sandbox) -> None:
    assert sandbox.environment() == {
        "ZENOVAY_API_KEY": sandbox.zenovay.api_key,
        "ZENOVAY_WEBSITE_ID": "site_sandbox",
        "ZENOVAY_BASE_URL": f"{sandbox.url}/api/external/v1",
        "HUBSPOT_ACCESS_TOKEN": sandbox.hubspot.access_token,
        "HUBSPOT_BASE_URL": sandbox.url,
    }
    assert sandbox.zenovay.api_key.startswith("zv_")


def test_a_given_port_is_used_and_a_taken_one_is_named(sandbox: Sandbox) -> None:
    taken = urlsplit(sandbox.url).port or 0
    with pytest.raises(SettingsError, match=str(taken)):
        Sandbox(port=taken)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    with Sandbox(port=free) as other:
        assert other.url == f"http://127.0.0.1:{free}"


def test_without_the_extra_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "etl.sandbox.loopback", raising=False)
    real = builtins.__import__

    def without_uvicorn(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "uvicorn":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_uvicorn)
    with pytest.raises(SettingsError, match=r"needs uvicorn.*uv sync --locked --inexact --extra sandbox"):
        Sandbox()


def test_populate_fills_the_default_website(sandbox: Sandbox) -> None:
    sandbox.populate(50)
    headers = {"X-API-Key": sandbox.zenovay.api_key}
    address = f"{sandbox.zenovay_url}/analytics/{sandbox.website}/visitors"
    reply = httpx.get(address, params={"range": "30d"}, headers=headers)
    assert len(reply.json()["data"]["visitors"]) == 50
    assert sandbox.hubspot.contacts == {}


def test_the_page_shows_contacts_and_escapes_them(sandbox: Sandbox) -> None:
    sandbox.hubspot.seed({"email": "ann@example.test", "firstname": "<script>alert(1)</script>"})
    page = httpx.get(sandbox.url)
    assert page.headers["content-type"].startswith("text/html")
    assert "http-equiv=refresh" in page.text
    assert "ann@example.test" in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<script" not in page.text
