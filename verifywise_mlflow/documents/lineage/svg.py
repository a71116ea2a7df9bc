"""A lineage graph as an SVG picture: one column for each kind of node, readable on light and on dark pages.

The columns are fixed, so a layout is only an order of the nodes in each column. A node is placed at the mean height of
the nodes that it is connected to, so that few edges cross. The picture loads nothing and runs no script.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from xml.sax.saxutils import escape

from verifywise_mlflow.common.untrusted_text import excerpt, truncate
from verifywise_mlflow.documents.lineage.captions import KIND_TITLES, MAX_CAPTION_LENGTH, caption
from verifywise_mlflow.services.lineage_graph import DatasetNode, LineageGraph, LineageNode

_WIDTH, _LINE, _PADDING, _GAP, _CHANNEL, _MARGIN, _TOP = 250, 15, 7, 12, 110, 16, 44
"""Pixels: a node's width, a line's height, and the spaces: in a node, between nodes, between columns, around the
picture, and above."""
_MAX_LINE_CHARACTERS: Final = 32
"""The approximate number of characters that fit into a node at 12 pixels. Longer texts are clipped, and the node's
tooltip has the whole caption."""

_STYLE: Final = """
.lineage { color-scheme: light dark; background: #fff; font: 12px system-ui, sans-serif; }
.lineage text { fill: #1b1f24; } .lineage .detail { fill: #57606a; font-size: 11px; }
.lineage .heading { font-weight: 600; } .lineage path { fill: none; stroke: #8c959f; }
.lineage rect { fill: #f6f8fa; stroke: #8c959f; } .lineage .version rect { fill: #ddf4ff; stroke: #0969da; }
.lineage .shared rect { stroke: #bc4c00; stroke-width: 3; }
@media (prefers-color-scheme: dark) {
.lineage { background: #0d1117; } .lineage text { fill: #e6edf3; } .lineage .detail { fill: #9ea7b3; }
.lineage rect { fill: #161b22; stroke: #6e7681; } .lineage .version rect { fill: #0c2d6b; stroke: #58a6ff; }
.lineage .shared rect { stroke: #ffa657; } .lineage path { stroke: #6e7681; } }
"""
"""The styles of the picture. The class limits them to the picture, which may be part of a page."""


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def to_svg(graph: LineageGraph, subject: str) -> str:
    """Return the graph as an SVG document with tooltips, and a title and a description for screen readers.

    Args:
        graph: The graph.
        subject: What the graph is about: the name of a tenant or a model.
    """
    titles = _titles(graph)
    boxes = _layout(graph)
    width = _column_x(len(titles) - 1) + _WIDTH + _MARGIN
    bottom = max((box.y + box.height for box in boxes.values()), default=_TOP)
    height = bottom + _MARGIN + (_LINE + _GAP if graph.left_out else 0)
    title = f"Lineage of {excerpt(subject, MAX_CAPTION_LENGTH)}"
    kinds = ((sum(node.kind == kind for node in graph.nodes), heading) for kind, heading in titles.items())
    described = ", ".join(f"{count} {heading}" for count, heading in kinds)
    parts = [
        f"<style>{_STYLE}</style>",
        *(_text(_column_x(column), _TOP - 18, heading, "heading") for column, heading in enumerate(titles.values())),
        *(_edge(boxes[edge.source], boxes[edge.target], edge.label) for edge in graph.edges),
        *(_node(node, boxes[node.id]) for node in graph.nodes),
    ]
    if graph.left_out:
        parts.append(_text(_MARGIN, height - _MARGIN, graph.left_out, "detail"))
    # IDs must be unique in the whole page: a notebook shows several pictures.
    suffix = sha256("\n".join((title, described, *parts)).encode("utf-8", "replace")).hexdigest()[:12]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lineage" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="title-{suffix} description-{suffix}">',
        f'<title id="title-{suffix}">{escape(title)}</title>',
        f'<desc id="description-{suffix}">{escape(f"{described}, connected from left to right.")}</desc>',
    )
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _titles(graph: LineageGraph) -> Mapping[str, str]:
    """Return the kinds of nodes that have a column, with their headings. Few tenants have prompts and agents."""
    kinds = {node.kind for node in graph.nodes}
    return {kind: title for kind, title in KIND_TITLES.items() if kind in kinds or kind not in ("prompt", "agent")}


def _layout(graph: LineageGraph) -> Mapping[str, _Box]:
    """Return a box for each node. Versions keep the graph's order. The other columns follow the versions."""
    neighbors: defaultdict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        neighbors[edge.source].append(edge.target)
        neighbors[edge.target].append(edge.source)
    boxes: dict[str, _Box] = {}
    columns = list(_titles(graph))
    for kind in ("version", "agent", "run", "dataset", "prompt", "files"):
        nodes = [node for node in graph.nodes if node.kind == kind]

        def mean_height(node: LineageNode) -> float:
            placed = [boxes[other].middle for other in neighbors[node.id] if other in boxes]
            return sum(placed) / len(placed) if placed else 0.0

        heights = {node.id: mean_height(node) for node in nodes}
        y = float(_TOP)
        for node in sorted(nodes, key=lambda node: heights[node.id]):
            height = 2 * _PADDING + _LINE * (1 + len(caption(node).details))
            y = max(y, heights[node.id] - height / 2)
            boxes[node.id] = _Box(_column_x(columns.index(kind)), y, height)
            y += height + _GAP
    return boxes


def _column_x(column: int) -> float:
    return _MARGIN + column * (_WIDTH + _CHANNEL)


def _edge(source: _Box, target: _Box, label: str | None) -> str:
    start, end, bend = source.x + _WIDTH, target.x, _CHANNEL / 2
    curve = (
        f"M{start:g} {source.middle:g}C{start + bend:g} {source.middle:g} {end - bend:g} {target.middle:g} "
        f"{end:g} {target.middle:g}"
    )
    tooltip = f"<title>{escape(excerpt(label, MAX_CAPTION_LENGTH))}</title>" if label else ""
    return f'<path d="{curve}">{tooltip}</path>'


def _node(node: LineageNode, box: _Box) -> str:
    said = caption(node)
    classes = f"{node.kind} shared" if isinstance(node, DatasetNode) and node.shared else node.kind
    tooltip = escape("\n".join((said.title, *said.details)))
    return "".join(
        (
            f'<g class="{classes}"><title>{tooltip}</title>',
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{_WIDTH}" height="{box.height:g}" rx="5"/>',
            # A picture within the picture clips the texts that are too wide.
            f'<svg x="{box.x:g}" y="{box.y:g}" width="{_WIDTH - 4}" height="{box.height:g}">',
            *_lines((said.title, *said.details)),
            "</svg></g>",
        )
    )


def _lines(lines: tuple[str, ...]) -> Iterator[str]:
    for place, line in enumerate(lines):
        y = _PADDING + _LINE * (place + 0.8)
        yield _text(10, y, truncate(line, _MAX_LINE_CHARACTERS - 1), "detail" if place else "")


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{style}">{escape(text)}</text>'
