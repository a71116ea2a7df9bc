"""``verifywise-mlflow frameworks`` shows the state of each clause to people and to programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance.frameworks import shipped_catalog
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import config_versions
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.stored_states import NOON, write_record, write_verdicts

runner = CliRunner(env={"COLUMNS": "80"})


def column(table: str, heading: str, following: str = "") -> dict[str, str]:
    """Return each clause's cell in a column, with its lines joined."""
    lines = table.splitlines()
    head = next(line for line in lines if line.startswith("clause"))
    start, end = head.index(heading), head.index(following) if following else None
    cells: dict[str, list[str]] = {}
    clause = ""
    for line in lines[lines.index(head) + 2 :]:
        if not line.strip():
            break
        named = line[: head.index("about")].strip()
        clause = named or clause
        cells.setdefault(clause, []).append(line[start:end].strip())
    return {name: " ".join(filter(None, parts)) for name, parts in cells.items()}


@pytest.fixture
def evaluated_store(store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two versions: one names its owner, the other does not. An auditor has no tenants.yaml, so there is none."""
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    monkeypatch.delenv("VERIFYWISE_TENANTS", raising=False)
    reference = {"framework": "NIST AI RMF", "clause": "GOVERN 2.1", "confidence": "high"}
    document = {"policies": {"ours": {"rules": {"owner": {"references": [reference]}}}}}
    with store.begin("acme") as session:
        config_versions.record_config_version(session, "policy", "digest", document, "sync", NOON)
    for number, verdict in ((1, Verdict.PASS), (2, Verdict.NOT_EVIDENCED)):
        write_record(store, RecordInputs(version=ModelVersion("fraud", number)), NOON)
        write_verdicts(store, {"owner": verdict}, NOON, key=("fraud", number))
    return store


def test_without_a_tenant_it_shows_what_mlflow_can_show_and_needs_no_database() -> None:
    result = runner.invoke(app, ["frameworks", "--framework", "eu ai act"])

    assert result.exit_code == 0, result.output
    assert "Art. 12" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "nothing was compared with the Official Journal" in " ".join(result.stdout.split())


def test_for_a_tenant_it_counts_versions_and_shows_the_blanks(evaluated_store: Store) -> None:
    result = runner.invoke(app, ["frameworks", "acme", "--framework", "NIST AI RMF"])

    assert result.exit_code == 0, result.output
    assert "NIST AI RMF: acme, 2 versions" in result.stdout
    state = column(result.stdout, "state", "blank")
    blank = column(result.stdout, "blank")
    assert state["GOVERN 2.1"] == "declared only: 1 shown, 1 with gaps"
    assert (state["GOVERN 2.2"], blank["GOVERN 2.2"]) == ("not obtainable from MLflow", "Everything.")
    assert (state["MEASURE 2.9"], blank["MEASURE 2.9"]) == ("nothing shown", "No rule covers it.")
    assert "34 not obtainable from MLflow" in " ".join(result.stdout.split())


def test_all_frameworks_are_shown_as_an_overview(evaluated_store: Store) -> None:
    of_tenant, in_general = (runner.invoke(app, ["frameworks", *tenant]).stdout for tenant in (["acme"], []))

    assert [len(printed.splitlines()) < 30 for printed in (of_tenant, in_general)] == [True, True]
    assert "NIST AI RMF 72 1 declared only, 7 supports, 30 nothing shown," in " ".join(of_tenant.split())
    assert "verifywise-mlflow frameworks acme --framework NAME" in of_tenant
    assert "verifywise-mlflow frameworks --framework NAME" in in_general


def test_json_output_holds_the_same_data(evaluated_store: Store) -> None:
    result = runner.invoke(app, ["frameworks", "acme", "--json"])

    output = json.loads(result.stdout)
    assert [framework["name"] for framework in output["frameworks"]] == list(shipped_catalog())
    (nist,) = (framework for framework in output["frameworks"] if framework["name"] == "NIST AI RMF")
    (clause,) = (framework for framework in nist["clauses"] if framework["id"] == "GOVERN 2.1")
    assert (clause["state"], clause["rules"]) == ("declared only", ["owner"])
    assert (clause["versions"]["shown"], clause["versions"]["not shown"]) == (1, 1)
    assert nist["states"]["not obtainable from MLflow"] == 34


TENANTS = """\
tenants:
  acme:
    tracking_uri: https://mlflow.acme.example
    compliance: {frameworks: [GDPR, NIST AI RMF]}
"""


def test_it_shows_the_frameworks_in_tenants_yaml_unless_an_option_names_another(
    evaluated_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tmp_path / "tenants.yaml"))

    chosen = json.loads(runner.invoke(app, ["frameworks", "acme", "--json"]).stdout)
    other = json.loads(runner.invoke(app, ["frameworks", "acme", "--framework", "EU AI Act", "--json"]).stdout)
    people = runner.invoke(app, ["frameworks", "acme"]).stdout

    assert ([framework["name"] for framework in chosen["frameworks"]], chosen["chosen_in_tenants_yaml"]) == (
        ["GDPR", "NIST AI RMF"],
        True,
    )
    assert ([framework["name"] for framework in other["frameworks"]], other["chosen_in_tenants_yaml"]) == (
        ["EU AI Act"],
        False,
    )
    assert "tenants.yaml selects these frameworks" in " ".join(people.split())


def test_a_tenant_missing_from_tenants_yaml_gets_all_frameworks(
    evaluated_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS.replace("acme:", "globex:"))
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tmp_path / "tenants.yaml"))

    output = json.loads(runner.invoke(app, ["frameworks", "acme", "--json"]).stdout)

    assert [framework["name"] for framework in output["frameworks"]] == list(shipped_catalog())


@pytest.mark.parametrize(
    ("arguments", "code", "expected_message"),
    [
        (["--framework", "HIPAA"], 3, "there is no framework 'HIPAA'; the frameworks are EU AI Act, GDPR"),
        (["--framework", "EU AI Akt"], 3, "Did you mean 'EU AI Act'"),
        (["nobody"], 3, "the database has no tenant 'nobody'"),
    ],
)
def test_an_unknown_name_is_reported_in_a_sentence(
    evaluated_store: Store, arguments: list[str], code: int, expected_message: str
) -> None:
    result = runner.invoke(app, ["frameworks", *arguments])

    assert result.exit_code == code
    assert expected_message in " ".join(result.output.split())
