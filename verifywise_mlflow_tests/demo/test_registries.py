"""What the demo's registries hold, read back through MLflow's own client."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.registry_seeding import seed_registries
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres

pytestmark = pytest.mark.slow(seconds=35)

ACME, GLOBEX = "acme-bank", "globex-health"
SEPSIS = """O'Neil's "Sepsis" Frühwarnung 1.0"""


@pytest.fixture(scope="module")
def steps() -> list[str]:
    """The progress lines of the seeding."""
    return []


@pytest.fixture(scope="module")
def filled(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> Iterator[MlflowServer]:
    """A server as in the demo, on Postgres, with both registries filled."""
    home = tmp_path_factory.mktemp("registries")
    with MlflowServer(
        backend_uri=postgres.create_database("demo_registries"),
        artifacts=home / "artifacts",
        log=home / "mlflow.log",
        arguments=["--enable-workspaces"],
    ) as server:
        seed_registries(server.uri, home, steps.append)
        yield server


@pytest.fixture
def acme(filled: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    return client(filled, ACME, monkeypatch)


@pytest.fixture
def globex(filled: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    return client(filled, GLOBEX, monkeypatch)


def client(server: MlflowServer, workspace: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_WORKSPACE", workspace)
    return MlflowClient(server.uri)


def version(registry: MlflowClient, name: str, number: int) -> ModelVersion:
    return registry.get_model_version(name, str(number))


def run_of(registry: MlflowClient, registered: ModelVersion) -> Run:
    assert registered.run_id
    return registry.get_run(registered.run_id)


def requirements(registered: ModelVersion, directory: Path) -> str:
    model = mlflow.artifacts.download_artifacts(registered.source, dst_path=str(directory))
    return Path(model, "requirements.txt").read_text()


def test_each_tenant_has_a_workspace_of_its_own(acme: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {model.name for model in acme.search_registered_models()}
    assert names == {"credit-scoring", "fraud-detection", "loan-loss-forecast", "collections-uplift"}
    monkeypatch.setenv("MLFLOW_WORKSPACE", GLOBEX)
    names = {model.name for model in acme.search_registered_models()}
    assert names == {"readmissionRisk", "tumour-triage", SEPSIS, "Bed Occupancy"}


def test_the_bank_uses_stages(acme: MlflowClient) -> None:
    stages = {
        (registered.name, registered.version): registered.current_stage for registered in acme.search_model_versions()
    }
    assert stages == {
        ("credit-scoring", "1"): "Archived",
        ("credit-scoring", "2"): "Production",
        ("credit-scoring", "3"): "Staging",
        ("fraud-detection", "1"): "Production",
        ("fraud-detection", "2"): "Staging",
        ("loan-loss-forecast", "1"): "Production",
        ("collections-uplift", "1"): "None",
    }


def test_the_banks_credit_scoring_is_documented_throughout(acme: MlflowClient, tmp_path: Path) -> None:
    documented = version(acme, "credit-scoring", 2)
    run = run_of(acme, documented)
    assert documented.tags["privacy_assessment"] == "DPIA completed 2026-03-01"
    assert {"owner", "approver", "risk_category", "data_sensitivity"} <= set(documented.tags)
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert 0.5 < run.data.metrics["roc_auc"] <= 1
    assert run.inputs is not None
    assert [dataset_input.dataset.name for dataset_input in run.inputs.dataset_inputs] == ["loan_applicants_2025"]
    assert {file.path for file in acme.list_artifacts(run.info.run_id)} >= {"evaluation", "model_card.md"}
    assert all("==" in line for line in requirements(documented, tmp_path).splitlines())


def test_personal_data_is_in_production_without_a_privacy_assessment(acme: MlflowClient) -> None:
    tags = version(acme, "fraud-detection", 1).tags
    assert tags["data_sensitivity"] == "PII"
    assert not [key for key in tags if "privacy" in key]


def test_an_environment_is_not_pinned(acme: MlflowClient, tmp_path: Path) -> None:
    assert {"scikit-learn", "numpy"} <= set(requirements(version(acme, "fraud-detection", 2), tmp_path).splitlines())


def test_a_metric_is_not_a_number(acme: MlflowClient) -> None:
    metrics = run_of(acme, version(acme, "loan-loss-forecast", 1)).data.metrics
    assert list(metrics) == ["mape"]
    assert math.isnan(metrics["mape"])


def test_a_version_has_no_run_but_files(acme: MlflowClient) -> None:
    unknown = version(acme, "collections-uplift", 1)
    assert unknown.source is not None
    logged = acme.get_logged_model(unknown.source.removeprefix("models:/"))
    assert (unknown.run_id, unknown.tags, logged.source_run_id) == ("", {}, "")


def test_the_hospitals_use_aliases_and_tags_of_models(globex: MlflowClient) -> None:
    model = globex.get_registered_model("readmissionRisk")
    assert {alias: int(number) for alias, number in model.aliases.items()} == {"champion": 2, "challenger": 3}
    assert set(model.tags) == {"Model-Owner", "riskLevel", "dataClassification"}
    assert all(not registered.tags for registered in globex.search_model_versions())


def test_a_run_is_deleted_and_its_version_is_in_production(globex: MlflowClient) -> None:
    champion = globex.get_model_version_by_alias("tumour-triage", "champion")
    assert run_of(globex, champion).info.lifecycle_stage == "deleted"
    assert not [key for key in globex.get_registered_model("tumour-triage").tags if "owner" in key.lower()]


def test_a_bought_version_lies_outside_of_mlflow(globex: MlflowClient) -> None:
    external_version = version(globex, "Bed Occupancy", 2)
    assert (external_version.run_id, external_version.source) == ("", "s3://vendor-models/bed-occupancy/2.1")


def test_a_name_has_quotes_of_both_kinds_and_an_umlaut(globex: MlflowClient) -> None:
    live = globex.get_model_version_by_alias(SEPSIS, "live")
    evaluation = mlflow.artifacts.load_text(f"runs:/{live.run_id}/evaluation/confusion_matrix.json")
    assert sum(map(sum, json.loads(evaluation)["matrix"])) == 100


def test_every_version_is_reported_as_progress(filled: MlflowServer, steps: list[str]) -> None:
    assert len([step for step in steps if "registered" in step]) == 14
    assert f"{GLOBEX}: trained and registered {SEPSIS}, version 1" in steps


def test_a_failed_seeding_reports_the_reason(filled: MlflowServer, tmp_path: Path) -> None:
    messages: list[str] = []
    with pytest.raises(ProcessFailedError, match=r"(?s)Seeding the registry of .*already exists"):
        seed_registries(filled.uri, tmp_path, messages.append)
