"""A headless Chromium that sees nothing but this machine."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from etl.network.proxies import without_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 20
"""How long anything may take there."""

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)


def installed() -> tuple[str, str]:
    """Where Chromium and its driver are; skips loudly where they are not."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    missing = "no Chromium with chromedriver is installed"
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(f"REQUIRE_BROWSER is set and {missing}")
    pytest.skip(f"NO BROWSER: {missing}, so that what needs one was not tested")


@contextmanager
def browsing(folder: Path) -> Iterator[Chrome]:
    """A browser that keeps what it keeps in ``folder``, and nothing after that."""
    os.environ.update(without_proxy("localhost"))  # there the driver listens
    browser, driver = installed()
    options = ChromeOptions()
    options.binary_location = browser
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for flag in (*_FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    with Chrome(options, ChromeService(driver)) as chrome:
        chrome.set_page_load_timeout(WAIT_S)
        chrome.set_script_timeout(WAIT_S)
        yield chrome


def looking(chrome: Chrome, *, width: int, height: int, scheme: str) -> None:
    """Show what is opened next in a window of this size, to somebody who prefers this colour scheme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
