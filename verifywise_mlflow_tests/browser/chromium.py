"""Debian's Chromium, driven by playwright. It asks nobody but the servers on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

HOW = "the browser tests need Chromium, and there is none on PATH: apt-get install chromium (.ci/run does so as root)"
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # It asks for updates of its parts all the same, and at a form how to fill it in: of nobody, then.
    *("--component-updater=url-source=http://127.0.0.1:9/", "--autofill-server-url=http://127.0.0.1:9/"),
)


def executable() -> str:
    """Return where Chromium is. Without it a person's tests are skipped and say how to have it; in CI they fail."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(HOW)
        pytest.skip(HOW)
    return found


@contextmanager
def page() -> Iterator[Page]:
    """Open a page. At the end, nothing that was opened in it may have asked for anything from elsewhere."""
    found = executable()
    hosts: set[str | None] = set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(120_000)
        page.context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        yield page
        browser.close()
    elsewhere = hosts - {"127.0.0.1", "localhost", None}  # none: what a page carries within itself
    assert not elsewhere, f"pages asked {sorted(map(str, elsewhere))}"


def shoot(page: Page, name: str, directory: Path) -> Path:
    """Take a picture of what is seen."""
    path = directory / f"{name}.png"
    page.screenshot(path=path)
    return path


def wait_for(page: Page, *texts: str) -> None:
    """Wait until the page shows each text. Dagster breaks names with spaces of no width."""
    page.wait_for_function(
        "texts => { const seen = document.body.innerText.replaceAll('\\u200b', '');"
        " return texts.every(text => seen.includes(text)) }",
        arg=list(texts),
    )
