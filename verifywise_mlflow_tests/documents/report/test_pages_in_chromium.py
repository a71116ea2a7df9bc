"""The report in a real browser, opened as files: it requests nothing, runs no foreign script, and is accessible.

``make pictures`` saves the pictures of docs/how-to/report.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Dialog, Page, Request

from verifywise_mlflow.documents.report.site import write_site
from verifywise_mlflow.documents.report.site_paths import TenantPaths
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.browser import chromium
from verifywise_mlflow_tests.documents.report.portfolio import HOSTILE, PLANS, REPORT_TIME
from verifywise_mlflow_tests.documents.report.site_reader import SiteReader

pytestmark = [pytest.mark.slow(seconds=40), pytest.mark.timeout(300)]

PATHS = TenantPaths("acme", is_only=True)
A4_WIDTH_PX = 680
"""The width of the paper without its margins, at 96 pixels to the inch."""
SHOWN_HOSTILE = HOSTILE.replace("\u202e", "\\u202e")
KINDS = {
    "portfolio": PATHS.portfolio,
    "models": PATHS.models(),
    "model": PATHS.model("credit-scoring"),
    "version": PATHS.version("credit-scoring", 2),
    "gaps": PATHS.gaps,
    "rule": PATHS.rule("production-privacy-assessment"),
    "coverage": PATHS.coverage,
    "systems": PATHS.systems,
    "completeness": PATHS.completeness,
    "hostile": PATHS.version(HOSTILE, 2),
}


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    """A page of the browser. It is requested before other fixtures: without a browser, nothing needs to be seeded."""
    with chromium.page() as page:
        page.set_default_timeout(20_000)
        yield page


@pytest.fixture
def events(browser_page: Page) -> Iterator[list[str]]:
    """Events that should not happen: dialogs, errors, refused scripts and styles, requests for anything but files."""
    seen: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            seen.append(f"{message.type}: {message.text}")

    def on_dialog(dialog: Dialog) -> None:
        seen.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def on_request(request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            seen.append(request.url)

    browser_page.on("dialog", on_dialog)
    browser_page.on("console", on_console)
    browser_page.on("pageerror", lambda error: seen.append(f"page error: {error}"))
    browser_page.on("request", on_request)
    yield seen
    for name in ("dialog", "console", "pageerror", "request"):
        browser_page._impl_obj.remove_all_listeners(name)  # playwright has no public way for all of an event


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return Path(os.environ.get("VERIFYWISE_PICTURES", tmp_path))


def test_pages_that_are_opened_as_files_request_and_run_nothing_foreign(
    browser_page: Page, site: SiteReader, events: list[str]
) -> None:
    for path in KINDS.values():
        opened(browser_page, site, path)
        assert browser_page.locator("main h1").is_visible()
        assert browser_page.evaluate("getComputedStyle(document.querySelector('.bar')).borderBottomStyle") == "solid"
        assert browser_page.locator("[data-theme-switch]").is_visible()  # our script ran

    assert events == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_pass_the_checks_of_axe(browser_page: Page, site: SiteReader, theme: str) -> None:
    browser_page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    violations = {}
    for name, path in KINDS.items():
        opened(browser_page, site, path)
        for details in browser_page.locator("details").all():
            details.evaluate("element => element.open = true")
        results = Axe().run(browser_page)
        if results.violations_count:
            violations[name] = results.generate_report()
    browser_page.emulate_media(color_scheme="light")

    assert violations == {}


def test_the_page_of_all_tenants_passes_them_too(browser_page: Page, portfolio_url: str, tmp_path: Path) -> None:
    summary = write_site(partial(Store, portfolio_url), ["globex", "initech"], tmp_path / "both", REPORT_TIME)

    browser_page.goto(summary.start_page.as_uri())

    assert browser_page.get_by_role("link", name="initech").is_visible()
    results = Axe().run(browser_page)
    assert results.violations_count == 0, results.generate_report()


def test_the_search_leads_to_a_version_by_the_keyboard_alone(browser_page: Page, site: SiteReader) -> None:
    opened(browser_page, site, PATHS.portfolio)

    browser_page.keyboard.press("Tab")
    assert browser_page.evaluate("document.activeElement.textContent") == "Skip to the content"
    browser_page.get_by_role("combobox").focus()
    browser_page.keyboard.type("credit-scoring 2")
    browser_page.get_by_role("option", name="credit-scoring 2").wait_for()
    browser_page.keyboard.press("ArrowDown")
    browser_page.keyboard.press("Enter")
    browser_page.get_by_role("heading", name="credit-scoring, version 2").wait_for()

    assert browser_page.url.endswith(PATHS.version("credit-scoring", 2))


def test_the_search_shows_a_hostile_name_as_text(browser_page: Page, site: SiteReader, events: list[str]) -> None:
    opened(browser_page, site, PATHS.completeness)
    browser_page.get_by_role("combobox").fill("onerror")

    browser_page.get_by_role("option").first.wait_for()

    assert SHOWN_HOSTILE in browser_page.get_by_role("option").first.inner_text()
    assert browser_page.locator('img[src="x"]').count() == 0
    assert events == []


def test_the_table_of_models_is_filtered_and_sorted(browser_page: Page, site: SiteReader) -> None:
    opened(browser_page, site, PATHS.models())
    rows = browser_page.locator("#models tbody tr:visible")
    assert rows.count() == len(PLANS)

    browser_page.get_by_label("Stage").select_option("production")
    in_production = rows.count()
    assert 0 < in_production < len(PLANS)
    browser_page.get_by_label("Contains").fill("fraud")
    assert rows.count() == 1
    browser_page.get_by_label("Contains").fill("")
    browser_page.get_by_label("Stage").select_option("")
    browser_page.get_by_role("button", name="Versions").click()
    browser_page.get_by_role("button", name="Versions").click()

    assert rows.first.locator("th").inner_text() == "churn"  # this model has the most versions
    assert browser_page.locator("#models th[aria-sort=descending]").inner_text().startswith("Versions")


def test_the_chosen_theme_stays_on_the_next_page(browser_page: Page, site: SiteReader) -> None:
    browser_page.emulate_media(color_scheme="light")
    opened(browser_page, site, PATHS.portfolio)
    background = "getComputedStyle(document.body).backgroundColor"
    light = browser_page.evaluate(background)

    browser_page.get_by_role("button", name="Dark theme").click()
    dark = browser_page.evaluate(background)
    opened(browser_page, site, PATHS.gaps)

    assert light != dark == browser_page.evaluate(background)
    browser_page.evaluate("localStorage.clear()")


def test_without_scripts_every_page_has_its_content_and_no_dead_control(browser_page: Page, site: SiteReader) -> None:
    browser = browser_page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto((site.folder / PATHS.models()).as_uri())

    assert page.locator("#models tbody tr").count() == len(PLANS)
    assert not page.locator("form.filters, .search, [data-theme-switch]").first.is_visible()
    context.close()


def test_a_phone_shows_the_portfolio_without_scrolling_sideways(browser_page: Page, site: SiteReader) -> None:
    browser_page.set_viewport_size({"width": 390, "height": 844})
    for path in (PATHS.portfolio, PATHS.model("credit-scoring"), PATHS.version(HOSTILE, 2)):
        opened(browser_page, site, path)
        assert browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    browser_page.set_viewport_size({"width": 1280, "height": 720})


def test_printed_pages_have_no_navigation_and_no_table_that_the_paper_cuts(
    browser_page: Page, site: SiteReader
) -> None:
    browser_page.emulate_media(media="print")
    browser_page.set_viewport_size({"width": A4_WIDTH_PX, "height": 1000})
    too_wide = {}
    for name, path in KINDS.items():
        opened(browser_page, site, path)
        for control in ("header nav", ".tools", "form.filters", "nav.pages"):
            assert not any(found.is_visible() for found in browser_page.locator(control).all()), (name, control)
        widths = browser_page.locator("main table:visible").evaluate_all(
            "tables => tables.map(table => Math.ceil(table.getBoundingClientRect().right))"
        )
        if widths and max(widths) > A4_WIDTH_PX:
            too_wide[name] = max(widths)
    browser_page.emulate_media(media="screen")
    browser_page.set_viewport_size({"width": 1280, "height": 720})

    assert too_wide == {}


def test_pictures_of_the_report(browser_page: Page, site: SiteReader, pictures: Path) -> None:
    browser_page.emulate_media(color_scheme="light")
    for name, path, height in (
        ("report-portfolio", PATHS.portfolio, 1180),
        ("report-model", PATHS.model("credit-scoring"), 1000),
    ):
        chromium.resize(browser_page, 1180, height)
        opened(browser_page, site, path)
        assert chromium.take_screenshot(browser_page, name, pictures).stat().st_size > 20_000
    browser_page.emulate_media(color_scheme="dark")
    opened(browser_page, site, PATHS.coverage)
    chromium.take_screenshot(browser_page, "report-coverage-dark", pictures)
    browser_page.emulate_media(color_scheme="light")
    chromium.resize(browser_page, 1280, 720)


def opened(page: Page, site: SiteReader, path: str) -> None:
    page.goto((site.folder / path).as_uri())
