"""A lineage graph as a Mermaid flowchart, which GitHub, GitLab and many wikis draw."""

from __future__ import annotations

import re
from typing import Final

from verifywise_mlflow.common.untrusted_text import excerpt
from verifywise_mlflow.documents.lineage.captions import MAX_CAPTION_LENGTH, caption
from verifywise_mlflow.services.lineage_graph import DatasetNode, LineageGraph

_SHAPES: Final = {
    "dataset": ("[(", ")]"),
    "run": ("([", "])"),
    "prompt": ("[\\", "\\]"),
    "agent": ("{{", "}}"),
    "version": ("[", "]"),
    "files": ("[/", "/]"),
}
_SPECIAL: Final = re.compile(r"[^\w ,.:@/+-]")
"""All ASCII punctuation that Mermaid, Markdown or HTML might interpret. Letters of any script stay readable."""


def to_mermaid(graph: LineageGraph) -> str:
    """Return the graph as a flowchart from left to right, in a text that ends with a line feed."""
    lines = ["flowchart LR"]
    for node in graph.nodes:
        said = caption(node)
        label = "<br/>".join(_escape(text) for text in (said.title, *said.details))
        opening, closing = _SHAPES[node.kind]
        lines.append(f'    {node.id}{opening}"{label}"{closing}')
    for edge in graph.edges:
        arrow = f'-->|"{_escape(excerpt(edge.label, MAX_CAPTION_LENGTH))}"|' if edge.label else "-->"
        lines.append(f"    {edge.source} {arrow} {edge.target}")
    if shared := [node.id for node in graph.nodes if isinstance(node, DatasetNode) and node.shared]:
        lines.append("    classDef shared stroke-width:4px")
        lines.append(f"    class {','.join(shared)} shared")
    if graph.left_out:
        lines.append(f'    left_out["{_escape(graph.left_out)}"]')
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    # Mermaid's own entity codes: the character's number between # and ;.
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", text)
