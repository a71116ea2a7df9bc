"""Graphs of lineage stay valid for any names of data sets and models."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from verifywise_mlflow.documents.lineage.dot import to_dot
from verifywise_mlflow.documents.lineage.mermaid import to_mermaid
from verifywise_mlflow.documents.lineage.svg import to_svg
from verifywise_mlflow.services.lineage_graph import (
    DatasetNode,
    FilesNode,
    LineageEdge,
    LineageGraph,
    RunNode,
    VersionNode,
)

HOSTILE = [
    '"]; click v0 "javascript:alert(1)"',
    "<script>alert(1)</script>",
    "</text><script/>",
    "#quot;#lt;img#gt;",
    '\\" ] [ URL="http://evil.example"',
    "\\N \\G &lt;b&gt;",
    "`**bold** $x$` end",
    "a\nb\r\x00\u202e\ud800c",
    "%%{init: {'securityLevel': 'loose'}}%%",
    "x" * 5_000,
]


def graph_of(name: str) -> LineageGraph:
    """A graph in which a customer named everything the same."""
    nodes = (
        DatasetNode("d0", name, name, name, name, shared=True),
        RunNode("r1", name, name),
        VersionNode("v2", name, 1, name, (name,)),
        FilesNode("f3", name, name, 2, 300),
    )
    edges = tuple(LineageEdge(*pair, name) for pair in (("d0", "r1"), ("r1", "v2"), ("v2", "f3")))
    return LineageGraph(1, None, nodes, edges, ())


@pytest.mark.parametrize("name", HOSTILE)
def test_mermaid_has_one_line_for_each_node_and_edge_and_no_markup_of_a_name(name: str) -> None:
    lines = to_mermaid(graph_of(name)).splitlines()

    assert len(lines) == 1 + 4 + 3 + 2
    for line in lines[1:8]:
        assert re.fullmatch(
            r' {4}(?:[drvf]\d[\[({/]+"(?:[\w ,.:@/+-]|#\d+;|<br/>)*"[\])}/]+'
            r'|[drvf]\d -->\|"(?:[\w ,.:@/+-]|#\d+;)*"\| [drvf]\d)',
            line,
        ), line


@pytest.mark.parametrize("name", HOSTILE)
def test_dot_keeps_a_name_within_its_quotes(name: str) -> None:
    text = to_dot(graph_of(name))

    without_strings = re.sub(r'"(?:[^"\\\n]|\\.)*"', "S", text)
    assert len(text.splitlines()) == 4 + 4 + 3
    assert set(re.findall(r"[^\w\s]+", without_strings)) == {"{", "=", "[", "]", "->", "}"}
    assert set(re.findall(r"(\w+)=", without_strings)) == {"rankdir", "fontname", "shape", "label", "penwidth"}
    assert "&lt;" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_the_picture_has_only_its_own_elements_and_loads_nothing(name: str) -> None:
    root = ET.fromstring(to_svg(graph_of(name), name))

    elements = {element.tag.partition("}")[2] for element in root.iter()}
    assert elements == {"svg", "title", "desc", "style", "text", "path", "g", "rect"}
    assert {key for element in root.iter() for key in element.keys() if "href" in key or key.startswith("on")} == set()  # noqa: SIM118
    assert "url(" not in "".join(style.text or "" for style in root.iter("{http://www.w3.org/2000/svg}style"))


def test_nodes_of_a_column_do_not_overlap() -> None:
    versions = tuple(VersionNode(f"v{place}", "m", place, None, ()) for place in range(30))
    runs = tuple(RunNode(f"r{place}", f"run{place}", "e") for place in range(30))
    edges = tuple(LineageEdge(f"r{29 - place}", f"v{place}", None) for place in range(30))

    root = ET.fromstring(to_svg(LineageGraph(30, None, (*versions, *runs), edges, ()), "m"))

    by_column: dict[str, list[tuple[float, float]]] = {}
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        by_column.setdefault(box.attrib["x"], []).append((float(box.attrib["y"]), float(box.attrib["height"])))
    assert len(by_column) == 2
    for boxes in by_column.values():
        boxes.sort()
        assert all(y + height < next_y for (y, height), (next_y, _) in pairwise(boxes))


def test_two_pictures_on_one_page_share_no_id_and_equal_ones_are_equal() -> None:
    first, second = (to_svg(graph_of(name), "acme") for name in ("churn", "fraud"))
    ids = [re.findall(r' id="([^"]*)"', picture) for picture in (first, second)]

    assert len({*ids[0], *ids[1]}) == 4
    assert f'aria-labelledby="{" ".join(ids[0])}"' in first
    assert first == to_svg(graph_of("churn"), "acme")
