"""Renders documents with Jinja2. Every text is escaped: no text from MLflow acts as markup or hides characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.documents.blocks import Cell, Document, Row, Section

_PACKAGE: Final = "verifywise_mlflow.documents.html"
_MAX_CACHED: Final = 120
"""The maximum length of a text whose escaped form is cached. The same short texts are on thousands of pages."""


@cache
def environment() -> Environment:
    """Return the Jinja environment of all our templates. Other packages pass their templates to it as texts."""
    templates = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.globals["cell"] = _cell
    templates.globals["rows"] = _rows
    return templates


@cache
def stylesheet() -> str:
    """Return the styles of all documents: light and dark, for screens and for paper."""
    return (files(_PACKAGE) / "style.css").read_text(encoding="utf-8")


def render_document(document: Document, links: Mapping[str, str] | None = None) -> str:
    """Return a document as a page that needs no other file.

    Args:
        document: The document.
        links: A description of each file next to the page, by its name: the page lists them.
    """
    template = environment().get_template("document.html.j2")
    return template.render(document=document, style=Markup(stylesheet()), links=links or {})  # noqa: S704  # our own file


def render_sections(sections: Sequence[Section], level: int = 2) -> Markup:
    """Return sections for a page of another package. Headings begin at ``level``. The page needs ``stylesheet``."""
    template = environment().get_template("sections.html.j2")
    return Markup(template.render(sections=sections, level=level))  # noqa: S704  # escaped by the template


def _visible(value: object) -> object:
    """Escape a text for HTML. Characters that could hide or reorder text become visible. Lines stay lines."""
    return _escaped(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@lru_cache(maxsize=20_000)  # a report shows the same words on thousands of pages
def _escaped(text: str) -> Markup:
    return escape(text if text.isascii() and text.isprintable() else "\n".join(map(escape_invisible, text.split("\n"))))


def _rows(rows: Sequence[Row]) -> Markup:
    """Return the rows of a table. They are built in Python, since templates take five times as long for many cells."""
    lines = (
        f'<tr><th scope="row">{_content(row[0])}</th>{"".join(f"<td>{_content(cell)}</td>" for cell in row[1:])}</tr>\n'
        for row in rows
    )
    return Markup("".join(lines))  # noqa: S704  # the texts are escaped


def _cell(cell: Cell) -> Markup:
    """Return a cell's content."""
    return Markup(_content(cell))  # noqa: S704  # the text is escaped


def _content(cell: Cell) -> str:
    text = _html(cell.text)
    tone = f' class="tone {cell.tone}"' if cell.tone else ""
    if cell.form == "code":
        text = f"<code{tone}>{text}</code>"
    elif tone:
        text = f"<span{tone}>{text}</span>"
    return f'{text}<small class="note">{_html(cell.note)}</small>' if cell.note else text


def _html(text: str) -> str:
    """Return an escaped text, as a plain string: ``Markup`` would be copied with each concatenation."""
    return str(_escaped(text)) if len(text) <= _MAX_CACHED else str(_escaped.__wrapped__(text))
