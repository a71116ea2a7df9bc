"""A first-time reader, who begins at Dagster's start page and clicks the elements that the guide names."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Page

from verifywise_mlflow_tests.browser.chromium import wait_for, wait_until

_CLICK_TEXT: Final = """
label => {
    const shown = [...document.querySelectorAll('*')].find(element => !element.children.length
        && element.textContent.replaceAll('\\u200b', '').trim() === label && element.checkVisibility());
    if (!shown) return false;
    shown.dispatchEvent(new MouseEvent('click', {bubbles: true, cancelable: true}));
    return true;
}
"""


class Reader:
    """Finds elements by the words on the screen, as the guide states them."""

    def __init__(self, page: Page, start: str) -> None:
        """Open the start page."""
        self._page = page
        self.clicks = 0
        page.goto(start)

    def click(self, *labels: str) -> None:
        """Click the elements with these texts, one after the other."""
        for label in labels:
            self._page.get_by_text(label, exact=True).filter(visible=True).first.click(trial=True)
            # When a list of Dagster grows, the same element shows another row. So one call of JavaScript finds the
            # text and clicks it.
            wait_until(self._page, _CLICK_TEXT, label)
            self.clicks += 1

    def choose(self, tenant: str) -> None:
        """Click a tenant in a list of partitions. A check's page has the name twice, and the list comes second."""
        self._page.get_by_text(tenant, exact=True).filter(visible=True).last.click()
        self.clicks += 1

    def open_tab(self, name: str) -> None:
        """Click a tab. If two tabs have the same name, click the tab of the last selected object."""
        self._page.get_by_role("tab", name=name, exact=True).last.click()
        self.clicks += 1

    def look_up(self, field: str, text: str) -> None:
        """Type words into a field."""
        self._page.get_by_placeholder(field).fill(text)

    def sees(self, *texts: str) -> None:
        """Wait until all of the words are on the page."""
        wait_for(self._page, *texts)
