"""The content of a synced tenant's export, read as the documentation describes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.exports.warehouse.layout import LAYOUTS
from verifywise_mlflow_tests.exports.warehouse import warehouse_page
from verifywise_mlflow_tests.support.documentation import code_blocks, generated_part, read_page
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.read_side_bank import Bank

runner = CliRunner(env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def warehouse(_synced_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB in a folder with an export of the bank, after the statements of the documentation."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VERIFYWISE_DATABASE_URL", _synced_bank.database_url)
        environment.chdir(tmp_path_factory.mktemp("exports"))
        result = runner.invoke(app, ["export", "acme", "warehouse/acme", "--json"])
        assert result.exit_code == 0, result.output
        assert check_document(result.stdout)["rows"]["records"] == 8
        connection = duckdb.connect()
        (statements,) = code_blocks(read_page(warehouse_page.PAGE), "sql")
        connection.execute(statements)
        for layout in LAYOUTS:
            if layout.name not in ("records", "verdicts", "gaps"):
                connection.execute(f"CREATE VIEW {layout.name} AS FROM 'warehouse/acme/{layout.name}/*.parquet'")
        yield connection


def test_the_statements_of_the_documentation_give_the_current_state(warehouse: duckdb.DuckDBPyConnection) -> None:
    current = "FROM records WHERE valid_to IS NULL AND deleted_at IS NULL"

    owners = warehouse.sql(f"SELECT model_name, version_number, owner {current} ORDER BY ALL").fetchall()
    (verdicts,) = warehouse.sql("SELECT count(*) FROM verdicts WHERE valid_to IS NULL").fetchall()
    are_open = "verdict IN ('fail', 'error', 'not evidenced') AND valid_to IS NULL"
    (open_verdicts,) = warehouse.sql(f"SELECT count(*) FROM verdicts WHERE {are_open}").fetchall()
    (gaps,) = warehouse.sql("SELECT count(*) FROM gaps").fetchall()
    assert owners == [
        ("churn", 1, "Marketing"),
        ("credit-scoring", 1, "Credit Risk"),
        ("credit-scoring", 2, "Credit Risk"),
        ("fraud", 1, None),
        ("notes", 1, "Operations"),
    ]
    assert verdicts[0] % 5 == 0
    assert open_verdicts == gaps


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT DISTINCT owner FROM records WHERE model_name = 'fraud' ORDER BY ALL", [("Payments",), (None,)]),
        ("SELECT approver, ended_at FROM waivers", [("Ada Lovelace", None)]),
        (
            "SELECT DISTINCT path FROM files JOIN manifests USING (tenant, model_name, version_number) "
            "WHERE manifest_revision = manifests.revision AND path LIKE '%MLmodel'",
            [("MLmodel",)],
        ),
        ("SELECT value FROM lifecycle_events WHERE alias = 'challenger'", [("2",)]),
        ("SELECT count(*) > 3 FROM audit_entries WHERE kind = 'sync ended'", [(False,)]),
        ("SELECT json_extract_string(origins, '$.owner.key') FROM records WHERE owner = 'Marketing'", [("owner",)]),
        ("SELECT count(*) FROM integrity_events", [(0,)]),
        ("SELECT count(DISTINCT model_name) FROM badges", [(4,)]),
    ],
)
def test_each_table_has_its_rows(
    warehouse: duckdb.DuckDBPyConnection, query: str, rows: list[tuple[object, ...]]
) -> None:
    assert warehouse.sql(query).fetchall() == rows


def test_an_export_to_a_folder_of_another_tenant_is_refused(synced_bank: Bank, tmp_path: Path) -> None:
    runner.invoke(app, ["export", "globex", str(tmp_path), "--format", "jsonl"])

    result = runner.invoke(app, ["export", "acme", str(tmp_path), "--format", "jsonl"])

    assert result.exit_code == 2
    assert "directory of its own" in result.stderr


def test_the_page_lists_the_tables() -> None:
    assert generated_part(read_page(warehouse_page.PAGE), "tables") == "\n".join(warehouse_page.tables())
