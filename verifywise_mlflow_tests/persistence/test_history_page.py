"""The commands, queries and Python lines in docs/how-to/query-history.md work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page
from verifywise_mlflow_tests.support.stored_states import day, write_record, write_verdicts

PAGE = read_page("how-to/query-history.md")
QUERIES = re.findall(r"\n([^\n]+):\n\n```sql\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^verifywise-mlflow ([^#\n]+?)\s+#", PAGE, re.MULTILINE)


@pytest.fixture
def store_with_history(store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A version that came into production and lost a verdict at noon on 3 March."""
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    key = ("churn", 3)
    with store.begin("acme") as session:
        tenancy.activate(session, "https://mlflow.acme.example", None, day(1))
    for number, stage, verdict in ((1, "Staging", Verdict.PASS), (3, "Production", Verdict.FAIL)):
        write_record(store, RecordInputs(version=ModelVersion(*key, stage=stage, tags={"owner": stage})), day(number))
        write_verdicts(store, {"a": verdict}, day(number), key=key)
    return store


def query_results(store_with_history: Store) -> dict[str, Sequence[Sequence[object]]]:
    with store_with_history.begin("acme") as session:
        return {
            title: [tuple(row) for row in session.execute(text(query.replace(":", r"\:")))] for title, query in QUERIES
        }


def test_each_query_returns_the_expected_rows(store_with_history: Store) -> None:
    results = query_results(store_with_history)

    (as_of,) = results["The record as of 3 March"]
    assert (as_of[0], as_of[2], *as_of[4:]) == ("Staging", "staging", day(1), day(3))
    assert results["The versions in production at any moment of 3 March"] == [("churn", 3)]
    assert results["Changes of the badge, with the sync"] == [
        (day(1), None, "evidence complete", "sync of day 1"),
        (day(3), "evidence complete", "failing", "sync of day 3"),
    ]
    assert results["Verdicts that were worse on 4 March than on 3 March"] == [("churn", 3, "a", "pass", "Because.")]
    assert results["The number of changes per record in March"] == [("churn", 3, 2)]
    assert results["Manual changes of a record, if the history is older than the record"] == []
    assert len(results) == 6


def test_the_query_for_manual_changes_finds_one(store_with_history: Store) -> None:
    with store_with_history.begin("acme") as session:
        session.execute(text("UPDATE verifywise_mlflow.canonical_records SET owner = 'mallory'"))

    (manual_change,) = query_results(store_with_history)[
        "Manual changes of a record, if the history is older than the record"
    ]

    assert manual_change[:2] == ("churn", 3)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_page_succeeds(
    store_with_history: Store, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # one writes a file
    model = RegisteredModel("churn", aliases={"champion": 3})
    write_record(store_with_history, RecordInputs(version=ModelVersion("churn", 3), model=model), day(4))

    result = CliRunner().invoke(app, command.split())

    assert result.exit_code == 0, result.output
    assert "churn" in result.output or "No record, no verdict and no badge changed." in result.output


def test_the_python_lines_run(store_with_history: Store) -> None:
    (program,) = code_blocks(PAGE, "python")
    counting_program = re.sub(
        r"^(    )(client\.(?!record\().*?\))(\s+#.*)?$", r"\1sizes.append(len(\2))", program, flags=re.MULTILINE
    )
    sizes: list[int] = []

    exec(counting_program, {"sizes": sizes})  # the page's own lines

    assert sizes == [1, 1, 8, 5]
