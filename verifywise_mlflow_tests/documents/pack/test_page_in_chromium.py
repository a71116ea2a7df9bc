"""The page in a real browser, opened as a file: it requests nothing, runs no script, and is accessible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Dialog, Page

from verifywise_mlflow.documents.blocks import Bullets, Cell, Document, Paragraph, Section, Table
from verifywise_mlflow.documents.html.rendering import render_document
from verifywise_mlflow_tests.browser import chromium
from verifywise_mlflow_tests.support.stored_states import NOON

pytestmark = pytest.mark.slow(seconds=15)

TONES: tuple[Literal["good", "bad", "warning", "quiet"], ...] = ("good", "bad", "warning", "quiet")
CELLS = tuple(Cell(tone, "a note", tone) for tone in TONES)
SAMPLE = Document(
    "Sample",
    "One block of each kind.",
    (
        Section(
            "blocks",
            "Blocks",
            (
                *(Paragraph(f"It is {tone}.", tone) for tone in TONES),
                Bullets((*CELLS, Cell("0f" * 32, form="code"))),
                Table("A table", ("a", "b", "c", "d"), (CELLS, CELLS), "2 rows are left out."),
            ),
            (Section("inner", "Inner", (Paragraph("Plain."),)),),
        ),
    ),
    NOON,
)


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    """A page of the browser. It is requested before other fixtures: without a browser, nothing needs to be seeded."""
    with chromium.page() as page:
        yield page


def test_each_block_is_accessible_in_light_and_dark(browser_page: Page, tmp_path: Path) -> None:
    path = tmp_path / "sample.html"
    path.write_text(render_document(SAMPLE, {"sample.html": "This page."}))
    browser_page.goto(path.as_uri())

    for scheme in ("light", "dark"):
        browser_page.emulate_media(color_scheme=scheme)
        violations = Axe().run(browser_page).response["violations"]
        assert [(violation["id"], len(violation["nodes"])) for violation in violations] == []


def test_hostile_texts_on_the_page_run_nothing_and_request_nothing(
    browser_page: Page, fraud_files: Mapping[str, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "index.html"
    path.write_bytes(fraud_files["index.html"])
    seen: list[str] = []

    def on_dialog(dialog: Dialog) -> None:
        seen.append(dialog.message)
        dialog.dismiss()

    browser_page.on("request", lambda request: seen.append(request.url))
    browser_page.on("dialog", on_dialog)

    browser_page.goto(path.as_uri())
    browser_page.keyboard.press("Tab")

    assert seen == [path.as_uri()]
    assert browser_page.title() == "fraud, version 3"
    assert browser_page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert browser_page.evaluate("document.scripts.length + document.images.length") == 0
