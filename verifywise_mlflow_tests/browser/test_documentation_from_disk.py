"""The documentation as a site that is opened from disk, without a server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from verifywise_mlflow_tests.browser import chromium
from verifywise_mlflow_tests.support.documentation import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a site of three pages with the settings of the whole site. Building the whole site takes longer."""
    folder = tmp_path_factory.mktemp("documentation")
    pages = folder / "pages"
    shutil.copytree(DOCS / "javascripts", pages / "javascripts")
    (pages / "index.md").write_text("# Home\n\nThe start.\n")
    (pages / "waivers.md").write_text("# Accept a gap\n\nA waiver is a decision of a person.\n")
    shutil.copy(DOCS / "reference" / "cli.md", pages)
    settings = {
        "INHERIT": str(ROOT / "mkdocs.yml"),
        "docs_dir": str(pages),
        "site_dir": str(folder / "site"),
        "nav": [{"Home": "index.md"}, {"Waivers": "waivers.md"}, {"Commands": "cli.md"}],
    }
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", str(folder / "mkdocs.yml")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "site"


@pytest.mark.parametrize("width", [1440, 360])
def test_a_reader_finds_a_page_by_the_search(site: Path, width: int) -> None:
    with chromium.page() as page:
        chromium.resize(page, width, 800)
        page.goto((site / "index.html").as_uri())
        if width < 1_000:  # the field is behind an icon
            page.locator("label.md-header__button[for=__search]").click()
        page.get_by_placeholder("Search").press_sequentially("decision")
        page.locator(".md-search-result__item a").filter(has_text="Accept a gap").first.click()
        page.wait_for_url("**/waivers.html*")
        page.get_by_role("article").get_by_text("A waiver is a decision of a person.").wait_for()


def test_the_tables_of_commands_fit_into_the_page(site: Path) -> None:
    with chromium.page() as page:
        chromium.resize(page, 1440, 900)
        page.goto((site / "cli.html").as_uri())
        widths = page.evaluate("[...document.querySelectorAll('article table')].map(({scrollWidth}) => scrollWidth)")
        room = page.evaluate("document.querySelector('article').clientWidth")

    assert len(widths) > 5
    assert [width for width in widths if width > room] == []
