"""``verifywise-mlflow report``."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow_tests.support.json_documents import check_document

runner = CliRunner(env={"COLUMNS": "80"})


@pytest.fixture(autouse=True)
def _database(portfolio_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", portfolio_url)
    monkeypatch.chdir(tmp_path)


def test_it_writes_to_the_default_folder_and_says_so_to_programs_and_people(tmp_path: Path) -> None:
    document = check_document(runner.invoke(app, ["report", "--system", "consumer-lending", "--json"]).stdout)

    assert document["schema"].endswith("report.v1")
    assert (document["tenants"], document["only_systems"]) == (["acme"], ["Consumer lending"])
    assert (document["models"], document["versions"]) == (2, 4)
    assert document["directory"] == "governance-report"
    pages = list((tmp_path / "governance-report").rglob("*.html"))
    assert tmp_path / document["start_page"] in pages
    assert document["pages"] == len(pages)

    replaced = runner.invoke(app, ["report", "acme", "--system", "Payments"])

    assert replaced.exit_code == 0, replaced.output
    assert f"Models: 1. Versions: 2. Pages: {len(list(tmp_path.rglob('*.html')))}." in replaced.stdout
    assert "Open governance-report/index.html" in replaced.stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["acme", "--output", "letters"], 2, "name an empty or a new folder"),
        (["acne"], 3, "'acme'"),
        (["acme", "--system", "Consumer lendin"], 3, "'Consumer lending'"),
    ],
)
def test_it_refuses_what_is_not_there_and_other_folders(
    arguments: list[str], exit_code: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-the-board.txt").write_text("Dear board")

    result = runner.invoke(app, ["report", *arguments])

    assert result.exit_code == exit_code, result.output
    assert said in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.rglob("*")] == ["letters", "to-the-board.txt"]
