"""Runs docs/tutorial/notebook.ipynb without Jupyter, and generates the page docs/tutorial/notebook.md from it.

``python -m verifywise_mlflow_tests.api.notebook`` runs the notebook with the stored tenant of
``support.read_side_bank``, and writes the outputs into the notebook and into the page. The page needs no plugin of
mkdocs, and the cells need no kernel.
"""

from __future__ import annotations

import ast
import io
import json
import os
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from verifywise_mlflow_tests.support.documentation import DOCS

NOTEBOOK = DOCS / "tutorial" / "notebook.ipynb"
PAGE = DOCS / "tutorial" / "notebook.md"
PICTURE = DOCS / "pictures" / "lineage-graph.svg"


@dataclass(frozen=True)
class Cell:
    """A cell: Markdown, or code with the output of its last expression."""

    kind: str
    source: str
    output: str = ""
    picture: str = ""


class _StoredCell(BaseModel):
    cell_type: str
    source: list[str]
    outputs: list[dict[str, object]] = []


class _StoredNotebook(BaseModel):
    cells: list[_StoredCell]


def read_notebook() -> list[Cell]:
    """Return the cells with their stored outputs."""
    stored = _StoredNotebook.model_validate_json(NOTEBOOK.read_bytes())
    return [_cell(cell) for cell in stored.cells]


def _cell(stored: _StoredCell) -> Cell:
    shown = [output["data"] for output in stored.outputs]
    data = shown[0] if shown else {}
    assert isinstance(data, dict)
    texts = ("".join(data.get(kind, ())) for kind in ("text/plain", "image/svg+xml"))
    return Cell(stored.cell_type, "".join(stored.source), *texts)


def run(cells: list[Cell]) -> list[Cell]:
    """Run the code cells one after the other, and return all cells with their outputs."""
    namespace: dict[str, object] = {}
    return [_run(cell, namespace) if cell.kind == "code" else cell for cell in cells]


def _run(cell: Cell, namespace: dict[str, object]) -> Cell:
    *statements, last = ast.parse(cell.source).body
    printed = io.StringIO()
    shown: object = None
    with redirect_stdout(printed):
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(statements, []), "<cell>", "exec"), namespace)
            shown = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)
        else:
            exec(compile(cell.source, "<cell>", "exec"), namespace)
    picture = shown._repr_svg_() if hasattr(shown, "_repr_svg_") else ""
    text = printed.getvalue() + ("" if picture or shown is None else str(shown))
    return replace(cell, output="\n".join(map(str.rstrip, text.rstrip().splitlines())), picture=picture)


def page(cells: list[Cell]) -> str:
    """Return the notebook as a page."""
    parts = []
    for cell in cells:
        if cell.kind == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        if cell.output:
            parts.append(f"```text\n{cell.output}\n```")
        if cell.picture:
            parts.append(f"![Data sets, runs, versions and files, connected](../pictures/{PICTURE.name})")
    return "\n\n".join(parts) + "\n"


def write(cells: list[Cell]) -> None:
    """Write the notebook with its outputs, its page, and the picture of the page."""
    document = {
        "cells": [_stored(cell) for cell in cells],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    NOTEBOOK.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(cells), encoding="utf-8")
    for cell in cells:
        if cell.picture:
            PICTURE.write_text(cell.picture, encoding="utf-8")


def _stored(cell: Cell) -> dict[str, object]:
    stored: dict[str, object] = {
        "cell_type": cell.kind,
        "metadata": {},
        "source": cell.source.splitlines(keepends=True),
    }
    if cell.kind == "code":
        data = {"text/plain": cell.output, "image/svg+xml": cell.picture}
        kept = {kind: text.splitlines(keepends=True) for kind, text in data.items() if text}
        output = {"output_type": "display_data", "metadata": {}, "data": kept}
        stored |= {"execution_count": None, "outputs": [output] if kept else []}
    return stored


def main() -> None:
    """Run the notebook against a bank of its own and write all three files."""
    from verifywise_mlflow_tests.support.databases import migrated_database
    from verifywise_mlflow_tests.support.read_side_bank import synced_bank
    from verifywise_mlflow_tests.support.session_servers import session_mlflow, session_postgres

    with tempfile.TemporaryDirectory() as name, session_postgres() as postgres, session_mlflow(Path(name)) as mlflow:
        artifacts = mlflow.database.parent / "artifacts"
        with (
            migrated_database(postgres) as url,
            synced_bank(url, mlflow.uri, artifacts, Path(name)) as bank,
        ):
            os.environ["VERIFYWISE_DATABASE_URL"] = bank.database_url
            write(run(read_notebook()))


if __name__ == "__main__":
    main()
