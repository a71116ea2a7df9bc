"""Reads the pages of a report as a browser parses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

from verifywise_mlflow.documents.report.site import SiteSummary


class ParsedPage(HTMLParser):
    """The elements and the texts of a page."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, Mapping[str, str]]] = []
        self.texts: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if text := " ".join(data.split()):
            self.texts.append(text)

    @property
    def text(self) -> str:
        """All texts, separated by spaces."""
        return " ".join(self.texts)

    @property
    def ids(self) -> list[str]:
        """The IDs of the elements."""
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def links(self) -> list[str]:
        """Return the addresses that the page refers to."""
        return [
            attributes[name]
            for tag, attributes in self.elements
            for name in ("href", "src", "action", "data", "poster", "srcset", "xlink:href")
            if name in attributes
        ]


@dataclass(frozen=True)
class SiteReader:
    """A report on the disk."""

    summary: SiteSummary

    @property
    def folder(self) -> Path:
        """The folder of the report."""
        return self.summary.folder

    @cached_property
    def pages(self) -> Mapping[str, ParsedPage]:
        """All pages, by their path in the site."""
        return {
            path.relative_to(self.folder).as_posix(): ParsedPage(path.read_text(encoding="utf-8"))
            for path in sorted(self.folder.rglob("*.html"))
        }

    def page(self, path: str) -> ParsedPage:
        """Return one page."""
        return self.pages[path]

    def files(self) -> Mapping[str, bytes]:
        """Return the content of every file."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }
