"""The output of `verifywise-mlflow tags` and `mapping` for an auditor and for a tenant's data team."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.normalizer.mapping.tag_mapping import TagMapping, default_mapping
from verifywise_mlflow.persistence.repositories.config_versions import record_config_version
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.services.tagged_rows import write_version
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width


@pytest.fixture
def tenants(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with one tenant, whose server is never contacted."""
    path = tmp_path / "tenants.yaml"
    path.write_text(
        "tenants:\n  acme:\n    tracking_uri: https://mlflow.acme.example\n    mapping:\n"
        "      replace_precedence: {owner: [version tag, config]}\n"
        "      key_patterns: {owner: ['*_lead']}\n"
        "      defaults: {owner: risk office}\n"
    )
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")
    return path


@pytest.mark.usefixtures("tenants")
def test_the_report_lists_each_problem_and_suggests_a_mapping(store: Store) -> None:
    write_version(store, 1, {"onwer": "ann", "[red]color": "\x1b[31mred", "risk": "grade-7", "team_lead": "TBD"})

    result = CliRunner().invoke(app, ["tags", "acme"])

    assert result.exit_code == 0, result.output
    texts = ("'onwer'", "'[red]color'", "'grade-7'", "a placeholder", "'fraud' version 1", "2 of 4 keys are mapped")
    for expected_text in texts:
        assert expected_text in result.output
    snippet = (
        result.output[result.output.index("mapping:") :].replace("FIELD", "business_purpose").replace("FORM:", "high:")
    )
    suggested = TagMapping.model_validate(yaml.safe_load(snippet)["mapping"])
    assert suggested.synonyms == {"owner": ("onwer",), "business_purpose": ("[red]color",)}
    assert suggested.values == {"risk_category": {"high": ("grade-7",)}}


@pytest.mark.usefixtures("tenants")
def test_the_json_report_is_complete(store: Store) -> None:
    write_version(store, 1, {"onwer": "ann"})

    report = json.loads(CliRunner().invoke(app, ["tags", "acme", "--json"]).stdout)

    (misspelled,) = report["misspelled"]
    assert (misspelled["use"]["key"], misspelled["probably"], misspelled["use"]["example"]) == (
        "onwer",
        "owner",
        ["fraud", 1],
    )
    assert report["is_cut"] is False


@pytest.mark.usefixtures("tenants")
def test_mapping_shows_how_a_field_is_filled() -> None:
    rule = json.loads(CliRunner().invoke(app, ["mapping", "acme", "owner", "--json"]).stdout)

    assert rule["first_place_that_has_one"] == ["version tag", "config"]
    assert rule["keys"][:2] == ["owner", "model_owner"]
    assert rule["key_patterns"] == ["*_lead"]
    assert rule["stated_for_all_versions"] == ["risk office"]
    assert any(line.startswith("owner: generic: root") for line in rule["texts_without_value"])
    assert any(line.startswith("any: placeholder:") and ", none," in line for line in rule["texts_without_value"])

    stages = CliRunner().invoke(app, ["mapping", "acme", "lifecycle_stage"]).output
    assert "version current_stage" in stages
    assert "production: production, prod" in stages


@pytest.mark.usefixtures("tenants")
def test_people_see_some_of_the_many_placeholders(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_width(monkeypatch, 80)

    printed = CliRunner().invoke(app, ["mapping", "acme", "owner"]).stdout

    assert "owner: placeholder: " in printed
    assert "more, see --json" in " ".join(printed.split())
    assert len(printed.splitlines()) < 70


@pytest.mark.usefixtures("tenants")
def test_a_field_outside_the_mapping_is_reported_with_those_inside() -> None:
    result = CliRunner().invoke(app, ["mapping", "acme", "metrics"])

    assert result.exit_code == 3
    assert "'metrics' is not a field that the mapping fills; these are: description, business_purpose" in " ".join(
        result.output.split()
    )


def test_without_tenants_yaml_the_mapping_of_the_last_sync_is_used(
    store: Store, tenants: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_version(store, 1, {"team_lead": "bob"})
    mapping = default_mapping().extended_by(load_tenants(tenants)["acme"].mapping)
    monkeypatch.delenv("VERIFYWISE_TENANTS")
    before = CliRunner().invoke(app, ["mapping", "acme", "owner"])
    with store.begin("acme") as session:
        document = {"mapping": mapping.model_dump(mode="json")}
        record_config_version(session, "mapping", "a digest", document, "a sync", datetime(2026, 3, 3, tzinfo=UTC))

    filled = json.loads(CliRunner().invoke(app, ["mapping", "acme", "owner", "--json"]).stdout)
    report = CliRunner().invoke(app, ["tags", "acme"])

    assert (before.exit_code, "the database has no tenant 'acme'" in before.stderr) == (3, True)
    assert filled["key_patterns"] == ["*_lead"]
    assert filled["mapping_digest"] == mapping.digest()
    assert "1 of 1 keys are mapped" in report.output
