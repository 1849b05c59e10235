"""A real browser for tests of pages."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WEBGL = ("use-angle=swiftshader", "enable-unsafe-swiftshader", "ignore-gpu-blocklist")  # computed without a GPU
needs_browser = pytest.mark.skipif(
    find_spec("selenium") is None or CHROMIUM is None or DRIVER is None,
    reason="a browser needs selenium (pip install selenium), chromium and chromedriver (apt-get install chromium chromium-driver)",
)


def chrome(profile: Path) -> Any:
    """Chromium without a window, and without a network of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for switch in ("headless", "no-sandbox", "disable-dev-shm-usage", "disable-background-networking", *WEBGL):
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={profile}")
    return webdriver.Chrome(options=options, service=Service(DRIVER))  # without a path, selenium would download one


def resize(browser: Any, width: int, height: int = 800) -> None:
    """The size of the page; a window cannot be narrower than 500 pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def take_picture(browser: Any, name: str) -> None:
    """Save the page as the README shows it, if `$SCREENSHOTS` names a folder: SCREENSHOTS=docs/images pytest tests/test_board.py."""
    if folder := os.environ.get("SCREENSHOTS"):
        file = Path(__file__).parent.parent / folder / f"{name}.png"
        assert browser.save_screenshot(str(file)), f"expected a folder for {file}"
