"""Renders documents as PDF. Equal documents give equal bytes: a PDF contains no time and no font of the machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

import typst

from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.documents.blocks import Block, Cell, Document, Section, Table

_ACCESSIBLE: Final = "ua-1"
"""PDF/UA-1: for screen readers, the file states the order of reading, the headings, the tables and the language."""
_NARROWEST: Final = 14
_WIDEST: Final = 160
"""The maximum number of characters up to which the width of a column grows with its texts."""


def render_pdf(document: Document) -> bytes:
    """Return a document as PDF.

    The PDF conforms to PDF/UA-1 unless a text has a character that the fonts in the package lack, such as a Chinese
    character. Then the PDF is still tagged, and the character is shown as a box.
    """
    source = (files("verifywise_mlflow.documents.pdf") / "document.typ").read_bytes()
    inputs = {"document": json.dumps(_document(document))}
    created = int(document.as_of.timestamp())
    compiler = typst.Compiler(source, ignore_system_fonts=True, sys_inputs=inputs)
    try:
        rendered = compiler.compile(format="pdf", pdf_standards=_ACCESSIBLE, timestamp=created)
    except typst.TypstError:
        rendered = compiler.compile(format="pdf", timestamp=created)
    assert isinstance(rendered, bytes)  # a list only for pictures of pages
    return rendered


def _document(document: Document) -> Mapping[str, object]:
    return {
        "title": _visible(document.title),
        "subtitle": _visible(document.subtitle),
        "footer": _visible(document.title)[:120],
        "sections": [_section(section) for section in document.sections],
    }


def _section(section: Section) -> Mapping[str, object]:
    return {
        "heading": _visible(section.heading),
        "blocks": [_block(block) for block in section.blocks],
        "sections": [_section(inner) for inner in section.sections],
    }


def _block(block: Block) -> Mapping[str, object]:
    match block.kind:
        case "paragraph":
            return {"kind": block.kind, "text": _visible(block.text), "tone": block.tone}
        case "bullets":
            return {"kind": block.kind, "entries": [_cell(cell) for cell in block.entries]}
        case "table":
            return {
                "kind": block.kind,
                "caption": _visible(block.caption),
                "headings": block.headings,
                "widths": _widths(block),
                "rows": [[_cell(cell) for cell in row] for row in block.rows],
                "remark": block.remark,
            }


def _cell(cell: Cell) -> Mapping[str, object]:
    return {"text": _visible(cell.text), "note": _visible(cell.note), "tone": cell.tone, "form": cell.form}


def _widths(table: Table) -> Sequence[float]:
    """Return the relative widths of the columns, by the texts in them."""
    longest = [len(heading) for heading in table.headings]
    for row in table.rows:
        for column, cell in enumerate(row):
            longest[column] = max(longest[column], len(cell.text), len(cell.note) // 3)
    return [min(max(length, _NARROWEST), _WIDEST) ** 0.6 for length in longest]


def _visible(text: str) -> str:
    return "\n".join(map(escape_invisible, text.split("\n")))
