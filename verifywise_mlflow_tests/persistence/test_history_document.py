"""What docs/history.md says can be done can be done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.kept_states import day, write_record, write_verdicts

PAGE = (Path(__file__).parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"\n([^\n]+):\n\n```sql\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^verifywise-mlflow ([^#\n]+?)\s+#", PAGE, re.MULTILINE)


@pytest.fixture
def kept(store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A version that came into production on 3 March and lost a verdict at the same noon."""
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    key = ("churn", 3)
    for number, stage, word in ((1, "Staging", Verdict.PASS), (3, "Production", Verdict.FAIL)):
        write_record(store, RecordInputs(version=ModelVersion(*key, stage=stage, tags={"owner": stage})), day(number))
        write_verdicts(store, {"a": word}, day(number), key=key)
    return store


def answers(kept: Store) -> dict[str, Sequence[Sequence[object]]]:
    with kept.begin("acme") as connection:
        return {
            title: [tuple(row) for row in connection.execute(text(query.replace(":", r"\:")))]
            for title, query in QUERIES
        }


def test_each_query_answers_its_question(kept: Store) -> None:
    found = answers(kept)

    (as_of,) = found["The record as of 3 March"]
    assert (as_of[0], as_of[2], *as_of[4:]) == ("Staging", "staging", day(1), day(3))
    assert found["Who was in production on 3 March, at any moment of that day"] == [("churn", 3)]
    assert found["When the badge changed, and by which sync"] == [
        (day(1), None, "compliant", "sync of day 1"),
        (day(3), "compliant", "non-compliant", "sync of day 3"),
    ]
    assert found["Which verdicts were worse on 4 March than on 3 March"] == [("churn", 3, "a", "pass", "Because.")]
    assert found["Which records changed in March, and how often"] == [("churn", 3, 2)]
    assert found["Whether somebody changed a record by hand, where the history is older than the record"] == []
    assert len(found) == 6


def test_a_change_by_hand_is_found(kept: Store) -> None:
    with kept.begin("acme") as connection:
        connection.execute(text("UPDATE verifywise.canonical_records SET owner = 'mallory'"))

    (found,) = answers(kept)["Whether somebody changed a record by hand, where the history is older than the record"]

    assert found[:2] == ("churn", 3)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_does_what_the_page_says(kept: Store, command: str) -> None:
    result = CliRunner().invoke(app, command.split())

    assert result.exit_code == 0, result.output
    assert "churn" in result.output


def test_the_lines_of_python_run(kept: Store) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    counted = re.sub(r"^(    )(frames\..*?\))(\s+#.*)?$", r"\1sizes.append(len(\2))", program, flags=re.MULTILINE)
    sizes: list[int] = []

    exec(counted, {"sizes": sizes})  # the page's own lines

    assert sizes == [1, 1, 2, 2, 2]
