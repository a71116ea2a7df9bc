"""``inventory`` and ``gaps``: tables that read well, documents under their schemas, and files."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.command_catalog import MISUSED, UNRESOLVED
from verifywise_mlflow.cli.gap_output import age_sentence
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.support.governed_tenants import FORMULA, LONG_NAME, GovernedTenants, governed_tenants
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.stored_states import NOON
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width

runner = CliRunner()


@pytest.fixture(scope="module")
def tenants(postgres: EmbeddedPostgres) -> Iterator[GovernedTenants]:
    with governed_tenants(postgres) as seeded:
        yield seeded


@pytest.fixture(autouse=True)
def _environment(tenants: GovernedTenants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", tenants.url)
    set_terminal_width(monkeypatch, 80)


def run(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_the_inventory_reads_well_at_80_columns() -> None:
    lines = run("inventory", "acme").splitlines()

    assert lines == [
        "  version  stage       badge          risk  trained     changed (UTC)",
        "churn",
        "  owner: none",
        "  purpose: [red]Finds customers who may leave.[/red]",
        "  library: xgboost",
        "        1  -           gaps           -     2026-03-01  2026-03-01 12:00",
        "credit",
        "  system: Lending",
        "  purpose: none",
        "        2  production  failing        high  2026-03-01  2026-03-05 12:00",
        "           owner: Ops Desk",
        "           aliases: champion, eu",
        "           deployment: deployed",
        "           library: sklearn",
        "        1  archived    gaps           high  2026-03-01  2026-03-01 12:00",
        "           owner: Risk Team",
        "           deployment: not_deployed",
        LONG_NAME,
        f"  owner: {FORMULA}",
        "  purpose: none",
        "        1  -           failing        -     2026-03-01  2026-03-01 12:00",
        "unjudged",
        "  owner: none",
        "  purpose: none",
        "        1  -           not evaluated  -     2026-03-01  2026-03-07 12:00",
        "empty",
        "  no version: nothing of this model was registered",
    ]


@pytest.mark.parametrize("width", [30, 60, 80, 200])
@pytest.mark.parametrize("command", [["inventory"], ["gaps"], ["gaps", "--by", "model"]], ids=" ".join)
def test_no_name_and_no_time_is_cut(command: list[str], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_width(monkeypatch, width)

    output = run(*command, "acme")

    assert LONG_NAME in output
    if command == ["inventory"]:
        assert ("2026-03-05 12:00" if width >= 80 else "2026-03-05") in output
    elif command == ["gaps"]:
        assert "production" in output
        assert "2026-03-03 12:00 UTC" in output


def test_lines_fit_into_80_columns_but_for_longer_names() -> None:
    for command in ("inventory", "gaps"):
        for line in run(command, "acme").splitlines():
            assert cell_len(line) <= 80 or LONG_NAME in line


@pytest.mark.parametrize(
    ("age_days", "may_be_older", "sentence"),
    [
        (0, True, "first seen 2026-03-01 12:00 UTC, less than a day ago"),
        (0, False, "open for less than a day, since 2026-03-01 12:00 UTC"),
        (1, True, "open for at least 1 day, first seen 2026-03-01 12:00 UTC"),
        (1_200, False, "open for 1,200 days, since 2026-03-01 12:00 UTC"),
    ],
)
def test_the_age_of_a_gap_is_said_as_far_as_it_is_known(age_days: int, may_be_older: bool, sentence: str) -> None:
    assert age_sentence(age_days, NOON, may_be_older=may_be_older) == sentence


def test_the_gaps_say_since_when_and_who_accepts_them() -> None:
    output = run("gaps", "acme", "--rule", "owned")

    assert [line.strip() for line in output.splitlines()[:4]] == [
        *("high      owned", "credit version 2, production", "system: Lending", "owner: Ops Desk")
    ]
    assert "open for " in output
    assert "days, since 2026-03-03 12:00 UTC\n" in output
    assert "days, first seen 2026-03-01 12:00 UTC\n" in output
    assert "waived by Grace until 2099-12-31: A new team takes over." in output


def test_groups_are_a_table() -> None:
    lines = run("gaps", "acme", "--by", "severity").splitlines()

    assert lines[0].split() == ["open", "waived", "critical", "high", "days", "severity"]
    assert [line.split()[::5] for line in lines[1:]] == [["4", "critical"], ["2", "high"], ["2", "low"]]


def test_several_tenants_are_listed_under_their_names() -> None:
    for arguments in (["inventory"], ["gaps", "--rule", "owned"], ["gaps", "--by", "rule"]):
        output = run(*arguments)
        assert output.index("tenant acme") < output.index("tenant globex")
        assert "tenant" not in run(*arguments, "globex")


def test_a_short_list_says_that_there_is_more() -> None:
    assert "The first 2 versions are shown" in run("inventory", "acme", "--limit", "2")
    assert "The first 2 gaps are shown" in run("gaps", "acme", "--limit", "2")
    assert "are shown" not in run("gaps", "acme", "--rule", "owned", "--limit", "3")


def test_a_filter_that_nothing_fits_says_so() -> None:
    assert run("inventory", "--stage", "staging", "acme") == "No version matches.\n"
    assert run("gaps", "--stage", "staging", "acme") == "No gap matches.\n"
    assert run("gaps", "--stage", "staging", "--by", "owner", "acme") == "No gap matches.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gaps", "acme", "--rule", "ownde"], "no rule 'ownde' of the tenant 'acme'. Did you mean 'owned'"),
        (["gaps", "acme", "--by", "owner", "--model", "chrun"], "no model 'chrun' of the tenant 'acme'. Did you mean"),
        (["gaps", "acme", "--owner", "opsdesk"], "the owner of no version of the tenant 'acme'. Did you mean 'Ops"),
        (["inventory", "acme", "--model", "chrun"], "no model 'chrun' of the tenant 'acme'. Did you mean 'churn'?"),
        (["inventory", "--owner", "Grcae"], "'Grcae' is the owner of no version of any of the tenants"),
        (["inventory", "acme", "--model", "fraud"], "no model 'fraud' of the tenant 'acme'"),
    ],
)
def test_a_misspelled_name_is_no_empty_list(arguments: list[str], sentence: str) -> None:
    assert sentence in " ".join(run(*arguments, code=UNRESOLVED).split())


def test_names_of_several_tenants_and_of_former_models_narrow_a_list() -> None:
    for arguments in (
        ["inventory", "--model", "CREDIT", "--model", "fraud", "--owner", "fraud desk", "--owner", "ops desk"],
        ["gaps", "--model", "credit", "--model", "fraud", "--rule", "OWNED", "--rule", "private"],
    ):
        output = run(*arguments)
        assert "credit" in output
        assert "fraud" in output
    assert run("inventory", "acme", "--model", "gone") == "No version matches.\n"
    assert run("gaps", "acme", "--model", "empty") == "No gap matches.\n"
    assert run("gaps", "acme", "--rule", "nothing*") == "No gap matches.\n"


def test_json_is_one_document_under_its_schema() -> None:
    inventory = check_document(run("inventory", "--json"))
    gaps = check_document(run("gaps", "--json"))
    groups = check_document(run("gaps", "--by", "owner", "--json"))

    assert inventory["tenants"] == gaps["tenants"] == groups["tenants"] == ["acme", "globex"]
    assert [version["model_name"] for version in inventory["versions"]] == [
        *("churn", "credit", "credit", LONG_NAME, "unjudged", "empty", "fraud")
    ]
    assert {gap["waiver"]["approver"] for gap in gaps["gaps"] if gap["waiver"]} == {"Grace"}
    assert groups["by"] == "owner"
    assert sum(group["open"] for group in groups["groups"]) == sum(gap["waiver"] is None for gap in gaps["gaps"])


def test_json_of_nothing_is_an_empty_document() -> None:
    assert check_document(run("gaps", "acme", "--stage", "staging", "--json"))["gaps"] == []


def test_a_table_goes_to_a_file_with_all_rows(tmp_path: Path) -> None:
    csv_path, parquet_path = tmp_path / "inventory.csv", tmp_path / "gaps.parquet"

    assert run("inventory", "--output", str(csv_path)) == f"Wrote 7 rows to {csv_path}\n"
    run("gaps", "acme", "--output", str(parquet_path))
    run("gaps", "acme", "--by", "owner", "--output", str(tmp_path / "owners.xlsx"))

    with csv_path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["owner"] for row in rows if row["model_name"] == LONG_NAME} == {f"'{FORMULA}"}
    assert {row["tenant"] for row in rows} == {"acme", "globex"}
    gaps = pq.read_table(parquet_path).to_pylist()
    assert {gap["waiver_approver"] for gap in gaps} == {None, "Grace"}
    assert FORMULA in {gap["owner"] for gap in gaps}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["inventory", "--output", "table.txt"], MISUSED, "end it with .csv, .xlsx or .parquet"),
        (["inventory", "--output", "missing/table.csv"], MISUSED, "the folder missing does not exist: create it"),
        (["gaps", "--output", "table.csv", "--json"], MISUSED, "use one of them"),
        (["inventory", "--stage", "productoin"], MISUSED, "did you mean 'production'?"),
        (["inventory", "--missing", "ownr"], MISUSED, "did you mean 'owner'?"),
        (["gaps", "--severity", "hihg"], MISUSED, "did you mean 'high'?"),
        (["gaps", "glodex"], UNRESOLVED, "Did you mean 'globex'?"),
        (["gaps", "--framework", "GDPRR", "--json"], UNRESOLVED, "Did you mean 'GDPR'?"),
        (["inventory", "acme", "--system", "Landing"], UNRESOLVED, "Did you mean 'Lending'?"),
    ],
    ids=str,
)
def test_a_mistake_is_answered_with_a_remedy(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    output = run(*arguments, code=code)

    assert message in " ".join(output.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_a_table_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    monkeypatch.delitem(sys.modules, "verifywise_mlflow.exports.excel_table", raising=False)

    output = run("inventory", "--output", str(tmp_path / "table.xlsx"), code=MISUSED)

    assert "pip install 'verifywise-mlflow[reports]'" in " ".join(output.split())
    run("inventory", "--output", str(tmp_path / "table.csv"))
