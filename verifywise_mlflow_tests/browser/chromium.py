"""Debian's Chromium, driven by playwright. It contacts only servers on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

INSTALL_HINT = (
    "the browser tests need Chromium, which is not on PATH: apt-get install chromium (.ci/run does so as root)"
)
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Chromium requests component updates and form-filling hints nevertheless. Both requests go to a closed port.
    *("--component-updater=url-source=http://127.0.0.1:9/", "--autofill-server-url=http://127.0.0.1:9/"),
)

_POLLING_MS: Final = 200

GREEN: Final = """
names => names.every(name => [...document.querySelectorAll('*')].some(shown => {
    if (shown.children.length || shown.textContent.replaceAll('\\u200b', '') !== name) return false;
    for (let around = shown; around; around = around.parentElement) {
        const [red, green, blue, alpha = 1] = getComputedStyle(around).backgroundColor.match(/[0-9.]+/g).map(Number);
        if (alpha && green > red + 5 && green > blue + 2) return true;
    }
    return false;
}))
"""
"""Returns whether each of the names has a green background, as Dagster shows materialized assets."""

DRAWN_FROM_LEFT_TO_RIGHT: Final = """
() => [...document.querySelectorAll('canvas')].some(plot => {
    const {data, width} = plot.getContext('2d').getImageData(0, 0, plot.width, plot.height);
    const columns = new Set();
    for (let at = 0; at < data.length; at += 4)
        if (data[at + 3] > 200 && data[at + 2] > data[at] + 80) columns.add((at / 4) % width);
    return columns.size > width / 3;
})
"""
"""Returns whether a plot's blue line spans more than a third of its width, so that it joins at least two points."""


def executable() -> str:
    """Return the path of Chromium. Without it, tests are skipped with a hint; in CI they fail."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(INSTALL_HINT)
        pytest.skip(INSTALL_HINT)
    return path


@contextmanager
def page() -> Iterator[Page]:
    """Open a page. Fail at the end if it requested anything from another host."""
    browser_path = executable()
    hosts: set[str | None] = set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(_FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(120_000)
        page.context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        yield page
        browser.close()
    outside_hosts = hosts - {"127.0.0.1", "localhost", None}  # None: data: addresses
    assert not outside_hosts, f"pages contacted {sorted(map(str, outside_hosts))}"


def park(page: Page) -> None:
    """Show an empty page during the wait for runs. Dagster's pages poll and draw all the time, which slows runs."""
    page.goto("about:blank")


def resize(page: Page, width: int, height: int) -> None:
    """Set the size of the page, in pixels. Choose it so that a picture has no scroll bar."""
    page.set_viewport_size({"width": width, "height": height})


def take_screenshot(page: Page, name: str, directory: Path) -> Path:
    """Save a screenshot and return its path."""
    path = directory / f"{name}.png"
    page.screenshot(path=path)
    return path


def wait_for(page: Page, *texts: str) -> None:
    """Wait until the page shows each text. Dagster inserts zero-width spaces into names."""
    wait_until(
        page,
        "texts => { const seen = document.body.innerText.replaceAll('\\u200b', '');"
        " return texts.every(text => seen.includes(text)) }",
        list(texts),
    )


def wait_until(page: Page, function: str, argument: object = None) -> None:
    """Wait until a function of JavaScript returns true.

    By default, playwright calls the function for each frame. A function that reads the layout of a large page would
    then occupy a core, and the page would take longer.
    """
    page.wait_for_function(function, arg=argument, polling=_POLLING_MS)
