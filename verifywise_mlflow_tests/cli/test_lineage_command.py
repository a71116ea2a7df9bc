"""The command lineage prints what versions were made from, for people and for other tools."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.lineage_graph import lineage_graph
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.read_side_bank import Bank

runner = CliRunner(env={"COLUMNS": "200"})


def test_people_see_each_version_and_the_data_sets_that_models_share(synced_bank: Bank) -> None:
    result = runner.invoke(app, ["lineage", "acme"])

    assert result.exit_code == 0, result.output
    assert "loans (training), shared" in result.stdout
    shared = result.stdout.partition("Data sets that several models share")[2]
    assert "credit-scoring" in shared.partition("loans")[2]
    assert "notes 1" in result.stdout


def test_programs_get_a_graph_in_which_every_edge_has_its_nodes(synced_bank: Bank) -> None:
    graph = check_document(runner.invoke(app, ["lineage", "acme", "fraud", "--json"]).stdout)["graph"]

    ids = {node["id"] for node in graph["nodes"]}
    kinds = {node["id"]: node["kind"] for node in graph["nodes"]}
    assert {edge[end] for edge in graph["edges"] for end in ("source", "target")} == ids
    assert {(kinds[edge["source"]], kinds[edge["target"]]) for edge in graph["edges"]} == {
        ("dataset", "run"),
        ("run", "version"),
        ("version", "files"),
    }
    assert [(node["name"], node["shared"]) for node in graph["nodes"] if node["kind"] == "dataset"] == [
        ("loans", True),
        ("customers", True),
    ]


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", "<svg"), ("mmd", "flowchart LR"), ("gv", "digraph lineage"), ("json", '{"schema"')]
)
def test_the_ending_of_the_file_chooses_the_format(synced_bank: Bank, tmp_path: Path, ending: str, start: str) -> None:
    path = tmp_path / f"graph.{ending}"

    result = runner.invoke(app, ["lineage", "acme", "--output", str(path)])

    assert result.exit_code == 0, result.output
    assert path.read_text().startswith(start)


def test_a_table_has_a_row_for_each_edge(synced_bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"

    result = runner.invoke(app, ["lineage", "acme", "fraud", "--output", str(path)])

    assert result.exit_code == 0, result.output
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    data_sets = [row for row in rows if row["from_kind"] == "dataset"]
    assert {(row["from_name"], row["from_digest"], row["shared"]) for row in data_sets} == {
        ("loans", "5f0c2a91", "true"),
        ("customers", "c4d1e0aa", "true"),
    }
    (run,) = {row["to_name"] for row in data_sets}
    trained, packed = (row for row in rows if row["from_kind"] != "dataset")
    assert (trained["from_name"], trained["to_kind"], trained["to_name"]) == (run, "version", "fraud 1")
    assert (packed["from_name"], packed["to_kind"], packed["shared"]) == ("fraud 1", "files", "false")


def test_a_table_that_lacks_versions_says_so(synced_bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "edges.xlsx"

    result = runner.invoke(app, ["lineage", "acme", "--max-nodes", "4", "--output", str(path)])

    assert "4 of 5 versions are left out" in result.stdout


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        *((name, (), ".svg") for name in ("graph.png", "graph.txt", "graph")),
        ("graph.png", (), ".csv, .xlsx, .parquet"),
        ("graph.txt", ("--format", "text"), "--format text is for the terminal"),
        ("graph.csv", ("--format", "dot"), "--format dot is no table"),
        ("graph.csv", ("--json",), "use one of them"),
    ],
)
def test_a_file_whose_content_is_unclear_is_not_written(
    synced_bank: Bank, tmp_path: Path, name: str, options: tuple[str, ...], sentence: str
) -> None:
    path = tmp_path / name

    result = runner.invoke(app, ["lineage", "acme", *options, "--output", str(path)])

    assert (result.exit_code, sentence in result.output, path.exists()) == (2, True, False), result.output


def test_an_explicit_format_needs_no_ending(synced_bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "graph"

    runner.invoke(app, ["lineage", "acme", "--format", "dot", "--output", str(path)])

    assert path.read_text().startswith("digraph lineage")


def test_what_does_not_fit_is_counted_and_the_picture_says_so(synced_bank: Bank) -> None:
    result = runner.invoke(app, ["lineage", "acme", "--max-nodes", "4", "--format", "svg"])

    texts = [element.text for element in ET.fromstring(result.stdout).iter("{http://www.w3.org/2000/svg}text")]
    assert any(text and text.startswith("4 of 5 versions are left out") for text in texts)


def test_versions_in_production_are_what_a_small_graph_shows(synced_bank: Bank) -> None:
    with Store(synced_bank.database_url) as store, store.begin("acme") as session:
        graph = lineage_graph(session, None, 4)

    (version,) = (node for node in graph.nodes if node.kind == "version")
    assert (version.model_name, version.lifecycle_stage, version.aliases) == (
        "credit-scoring",
        "production",
        ("champion",),
    )


def test_a_misspelled_model_has_a_suggestion(synced_bank: Bank) -> None:
    result = runner.invoke(app, ["lineage", "acme", "frodd"])

    assert result.exit_code == 3
    assert "Did you mean 'fraud'?" in result.stderr
