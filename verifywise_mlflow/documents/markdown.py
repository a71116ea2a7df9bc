"""Renders documents as Markdown. No text from MLflow acts as markup."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from verifywise_mlflow.common.markdown import code_span, escape_markdown
from verifywise_mlflow.documents.blocks import Block, Bullets, Cell, Document, Paragraph, Section


def render_markdown(document: Document) -> str:
    """Return a document as Markdown, with its contents, headings and tables."""
    lines = [f"# {escape_markdown(document.title)}", "", escape_markdown(document.subtitle), ""]
    for section in document.sections:
        lines += _section(section, 2)
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * min(level, 6)} {escape_markdown(section.heading)}"
    yield ""
    for block in section.blocks:
        yield from _block(block)
        yield ""
    for inner in section.sections:
        yield from _section(inner, level + 1)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        text = _line(block.text)
        yield f"**{text}**" if block.tone == "warning" else text
    elif isinstance(block, Bullets):
        yield from (f"- {_cell(item)}" for item in block.entries)
    else:
        yield f"{escape_markdown(block.caption)}:"
        yield ""
        yield _row([escape_markdown(heading) for heading in block.headings])
        yield _row(["---"] * len(block.headings))
        yield from (_row([_cell(cell) for cell in row]) for row in block.rows)
        if block.remark:
            yield ""
            yield _line(block.remark)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    # A bar ends the cell of a table even within a code span.
    text = code_span(cell.text).replace("|", "\\|") if cell.form == "code" else _line(cell.text)
    return f"{text} ({_line(cell.note)})" if cell.note else text


def _line(text: str) -> str:
    """Return a text for one line. A hyphen or number at the start of the text would begin a list, so it is escaped."""
    return re.sub(r"^(?:(\d+)(?=[.)](?:\s|$))|(?=[-+]))", r"\1\\", escape_markdown(text.strip()))
