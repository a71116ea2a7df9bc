"""``verifywise-mlflow lineage``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from verifywise_mlflow.cli.arguments import StoredTenantName
from verifywise_mlflow.cli.command_catalog import MISUSED
from verifywise_mlflow.cli.display import display
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, fail, fail_to_write, out, table
from verifywise_mlflow.cli.table_output import check_output, write_output
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.documents.lineage.captions import caption
from verifywise_mlflow.documents.lineage.dot import to_dot
from verifywise_mlflow.documents.lineage.mermaid import to_mermaid
from verifywise_mlflow.documents.lineage.svg import to_svg
from verifywise_mlflow.exports.json_documents.lineage import LineageDocument
from verifywise_mlflow.exports.table_file import ENDINGS as TABLE_ENDINGS
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.lineage_graph import (
    DEFAULT_NODES,
    MAX_NODES,
    DatasetNode,
    LineageGraph,
    LineageNode,
    lineage_graph,
)
from verifywise_mlflow.services.lineage_rows import LineageRow, lineage_rows
from verifywise_mlflow.services.version_references import require_known

app = typer.Typer()


class Format(StrEnum):
    """The output format of a graph."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    JSON = "json"


_ENDINGS: Final = {
    ".mmd": Format.MERMAID,
    ".mermaid": Format.MERMAID,
    ".dot": Format.DOT,
    ".gv": Format.DOT,
    ".svg": Format.SVG,
    ".json": Format.JSON,
}


@app.command()
def lineage(
    tenant: StoredTenantName,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only this registered model.")] = None,
    output_format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="Tables for people, a graph for Mermaid or Graphviz, a picture, or an object for programs.",
            show_default="by the file's ending, else text",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write to this file instead, such as lineage.svg, or the edges as a table, such as lineage.csv. "
            "It is replaced.",
        ),
    ] = None,
    max_nodes: Annotated[
        int, typer.Option(help="The largest graph. What is left out is stated.", min=1, max=MAX_NODES)
    ] = DEFAULT_NODES,
    as_json: AsJson = False,
) -> None:
    """Print what versions were made from, as tables, a graph or a picture, and which data sets models share.

    Versions in production come first, then those with an alias, then the newest. Reads the database only.
    """
    if output is not None:
        _check_file(output, output_format, as_json)
    chosen = output_format or (_ENDINGS.get(output.suffix.lower()) if output else None) or Format.TEXT
    is_json = as_json or chosen is Format.JSON
    with exit_on_errors(is_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        graph = lineage_graph(session, model, max_nodes)
        if not graph.nodes:
            require_known(session, model)
    document = LineageDocument(tenant=tenant, model_name=model, graph=graph)
    if output is not None and output.suffix.lower() in TABLE_ENDINGS:
        write_output(output, LineageRow, lineage_rows(graph))
        if graph.left_out:
            out.print(graph.left_out, markup=False)
    elif is_json and output is None:
        print_document(document)
    elif chosen is Format.TEXT and not is_json:
        _print_tables(graph)
    else:
        _write(_rendered(document, Format.JSON if is_json else chosen), output)


def _check_file(output: Path, output_format: Format | None, as_json: bool) -> None:
    """Exit, before anything is read, if the options and the file's ending contradict each other or name no format."""
    ending = output.suffix.lower()
    if ending in TABLE_ENDINGS:
        check_output(output, as_json)
        if output_format is not None:
            fail(f"--format {output_format} is no table, and {ending} is one: leave --format out", MISUSED, as_json)
    elif output_format is Format.TEXT:
        fail("--format text is for the terminal: leave --format or --output out", MISUSED, as_json)
    elif output_format is None and not as_json and ending not in _ENDINGS:
        fail(
            f"{output.name!r} does not say what to write: end it with {', '.join(_ENDINGS)} for the graph, or with "
            f"{', '.join(TABLE_ENDINGS)} for its edges as a table",
            MISUSED,
            as_json,
        )


def _rendered(document: LineageDocument, chosen: Format) -> str:
    match chosen:
        case Format.JSON:
            return json.dumps(document.to_json()) + "\n"
        case Format.DOT:
            return to_dot(document.graph)
        case Format.SVG:
            return to_svg(document.graph, document.model_name or document.tenant)
        case _:
            return to_mermaid(document.graph)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail_to_write(output, error, as_json=False)
    out.print(f"The graph was written to {escape_invisible(str(output))}", markup=False, soft_wrap=True)


def _print_tables(graph: LineageGraph) -> None:
    nodes = {node.id: node for node in graph.nodes}
    made_from: defaultdict[str, list[tuple[LineageNode, str | None]]] = defaultdict(list)
    made_into: defaultdict[str, list[LineageNode]] = defaultdict(list)
    for edge in graph.edges:
        made_from[edge.target].append((nodes[edge.source], edge.label))
        made_into[edge.source].append(nodes[edge.target])
    rows = table("version", "data sets", "training run", "files")
    for version in (node for node in graph.nodes if node.kind == "version"):
        runs = [node for node, _ in made_from[version.id] if node.kind == "run"]
        makers: list[LineageNode] = [*runs, version]
        inputs = [entry for node in makers for entry in made_from[node.id]]
        data_sets = [_used(node, label) for node, label in inputs if node.kind == "dataset"]
        agents = [node for node, _ in made_from[version.id] if node.kind == "agent"]
        namers: list[LineageNode] = [version, *agents]
        named = [entry for node in namers for entry in made_from[node.id]]
        prompts = [_used(node, label) for node, label in named if node.kind == "prompt"]
        rows.add_row(
            _joined((*_said(version), *(caption(agent).title for agent in agents), *prompts)),
            _joined(data_sets),
            _joined(line for run in runs for line in _said(run)),
            _joined(caption(node).title for node in made_into[version.id]),
        )
    out.print(rows if graph.nodes else "There is no version.")
    if graph.left_out:
        out.print(graph.left_out, markup=False)
    if graph.shared_datasets:
        shared = table(
            "data set", "versions", "models", title="Data sets that several models share", right=("versions",)
        )
        for use in graph.shared_datasets:
            more = use.model_count - len(use.models)
            name = [use.name or use.source or "", f"digest {use.digest}" if use.digest else "without a digest"]
            models = [*use.models, f"and {more:,} more"] if more else use.models
            shared.add_row(_joined(name), f"{use.version_count:,}", _joined(models))
        out.print(shared)


def _said(node: LineageNode) -> tuple[str, ...]:
    words = caption(node)
    return (words.title, *words.details)


def _used(node: LineageNode, label: str | None) -> str:
    use = f" ({label})" if label else ""
    return f"{caption(node).title}{use}{', shared' if isinstance(node, DatasetNode) and node.shared else ''}"


def _joined(lines: Iterable[str]) -> Text:
    return Text("\n", no_wrap=True).join(map(display, lines)) or Text("none known", "dim")
