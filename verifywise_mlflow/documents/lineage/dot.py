"""A lineage graph in DOT, the language of Graphviz."""

from __future__ import annotations

from typing import Final

from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.documents.lineage.captions import MAX_CAPTION_LENGTH, caption
from verifywise_mlflow.services.lineage_graph import DatasetNode, LineageGraph

_SHAPES: Final = {
    "dataset": "cylinder",
    "run": "oval",
    "prompt": "note",
    "agent": "hexagon",
    "version": "box",
    "files": "folder",
}


def to_dot(graph: LineageGraph) -> str:
    """Return the graph as a digraph from left to right, in a text that ends with a line feed."""
    lines = ["digraph lineage {", "    rankdir=LR", '    node [fontname="sans-serif"]']
    for node in graph.nodes:
        said = caption(node)
        # Lines are joined by DOT's own escape for a line feed.
        label = "\\n".join(_escape(text) for text in (said.title, *said.details))
        border = " penwidth=3" if isinstance(node, DatasetNode) and node.shared else ""
        lines.append(f'    {node.id} [shape={_SHAPES[node.kind]} label="{label}"{border}]')
    for edge in graph.edges:
        label = f' [label="{_escape(excerpt(edge.label, MAX_CAPTION_LENGTH))}"]' if edge.label else ""
        lines.append(f"    {edge.source} -> {edge.target}{label}")
    if graph.left_out:
        lines.append(f'    label="{_escape(graph.left_out)}"')
    return "\n".join([*lines, "}"]) + "\n"


def _escape(text: str) -> str:
    # A backslash begins DOT's escapes, such as \N for the node's name; an ampersand begins an entity of HTML.
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
