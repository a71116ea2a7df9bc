"""``compare`` prints two versions side by side, as a table, a document and a file."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from verifywise_mlflow.cli import app
from verifywise_mlflow_tests.support.credit_tenant import MODEL, CreditTenant
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width


@pytest.fixture(autouse=True)
def _reader(acme: CreditTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", acme.url)
    set_terminal_width(monkeypatch, 80)


def compare(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compare", "acme", MODEL, *arguments])


def test_champion_and_challenger_are_compared_by_their_aliases() -> None:
    result = compare("champion", "challenger")

    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == f"{MODEL}: version 3 and version 4"
    assert "auc 0.8 0.9 +0.1 (+12.5%)" in lines
    assert "scikit-learn ==1.3.0 ==1.4.0" in lines
    assert any(line.startswith("model/model.pkl sha256 030303030303… sha256 040404040404…") for line in lines)
    assert "1 files cannot be compared, since their bytes were not hashed." in lines
    assert not any(line.startswith("numpy ") for line in lines), "equal values are left out"


def test_equal_values_are_printed_on_request() -> None:
    assert "numpy  " in compare("3", "4", "--all").stdout


def test_a_version_does_not_differ_from_itself() -> None:
    result = compare("champion", "3")

    assert (result.exit_code, "Both are version 3: nothing differs." in result.stdout) == (0, True)


def test_the_document_follows_its_published_schema() -> None:
    document = check_document(compare("champion", "challenger", "--json").stdout)

    assert (document["first"]["aliases"], document["second"]["aliases"]) == (["champion", "eu"], ["challenger"])
    values = {(value["section"], value["name"]): value for value in document["values"]}
    assert values["metrics", "auc"]["relative_difference"] == pytest.approx(0.125)
    assert values["packages", "numpy"]["differs"] is False


def test_all_values_are_written_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "comparison.csv"

    result = compare("champion", "challenger", "--output", str(path))

    assert result.exit_code == 0, result.output
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["section"], row["name"]): row["differs"] for row in rows}["packages", "numpy"] == "false"


def test_versions_are_compared_as_they_were_at_a_time() -> None:
    before, now = (compare("3", "challenger", "--json", *more) for more in (("--as-of", "2026-03-04"), ()))
    printed = compare("3", "challenger", "--as-of", "2026-03-04Z").stdout

    purposes = [
        value["second"]
        for result in (before, now)
        for value in check_document(result.stdout)["values"]
        if value["name"] == "business purpose"
    ]
    assert purposes == [None, "A challenger."]
    assert "version 4, as of 2026-03-04 00:00:00 UTC" in " ".join(printed.split())


def test_a_time_before_the_first_record_is_reported() -> None:
    result = compare("3", "4", "--as-of", "2026-02-01Z")

    assert result.exit_code == 1
    assert "version 3 as of 2026-02-01 00:00:00 UTC; nothing was recorded before 2026-03-01" in result.stderr


@pytest.mark.parametrize(
    ("references", "sentence"),
    [
        (("champion", "chalengger"), "Did you mean 'challenger'?"),
        (("3", "9"), "there is no version 9 of 'credit default risk'"),
    ],
)
def test_an_unknown_version_has_the_exit_code_of_unknown_names(references: tuple[str, str], sentence: str) -> None:
    result = compare(*references)

    assert (result.exit_code, sentence in result.stderr) == (3, True), result.output
