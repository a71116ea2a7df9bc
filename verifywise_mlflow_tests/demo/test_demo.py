"""The demo as a newcomer starts it: from an empty folder to the summary; and the demo's registries."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import psutil  # type: ignore[import-untyped]
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.demo import registry_seeding
from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow_tests.demo.running_demo import ACME, GLOBEX, RunningDemo

pytestmark = [pytest.mark.slow(seconds=130), pytest.mark.timeout(600)]

SEPSIS = """O'Neil's "Sepsis" Frühwarnung 1.0"""


def test_a_demo_starts_clean_and_prints_its_summary(demo: RunningDemo) -> None:
    assert demo.output.startswith("Starting clean"), demo.output
    assert "credit-scoring, version 3" in demo.output
    assert [line.split() for line in demo.output.splitlines() if line.startswith("acme-bank  ")] == [
        ["acme-bank", "4", "7", "1", "4", "2", "0"]
    ]
    assert "fail: production-privacy-assessment" in demo.output


def test_the_printed_commands_query_the_demo_in_a_second_terminal(demo: RunningDemo) -> None:
    assert "production-privacy-assessment" in query_in_second_terminal(demo.output, demo.home / "environment")


def query_in_second_terminal(output: str, environment_file: Path) -> str:
    """Run the commands that the demo prints; they must work in a shell that knows nothing of the project."""
    assert environment_file.stat().st_mode & 0o077 == 0
    _, _, instructions = output.partition("Or query it from another terminal:\n")
    load_command, query_command = instructions.splitlines()[:2]
    process = subprocess.run(
        ["/bin/sh", "-ec", f"{load_command}\n{query_command}"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_webhooks_have_arrived_from_both_tenants_before_anything_changes(demo: RunningDemo) -> None:
    result = CliRunner().invoke(app, ["doctor", "--no-servers", "--json"], env=dict(demo.environment))
    (finding,) = [check for check in json.loads(result.stdout)["checks"] if check["subject"] == "webhooks"]
    assert (finding["outcome"], finding["detail"]) == ("ok", "those of 2 tenants arrive")


def test_an_owner_leaves_and_the_badge_follows_within_seconds(demo: RunningDemo, tmp_path: Path) -> None:
    leaving, returning, nothing_to_undo = (live(demo, tmp_path, *options) for options in ((), (), ("--undo",)))

    assert "of acme-bank: evidence complete\nRemoved the tag owner in MLflow\n" in leaving
    assert re.search(r"of acme-bank: (gaps|failing), [0-9.]+ s after MLflow confirmed the change", leaving)
    assert "not evidenced: owner" in leaving
    assert "Restored the tag owner in MLflow\n" in returning
    assert re.search(r"of acme-bank: evidence complete, [0-9.]+ s after MLflow", returning)
    for output in (leaving, returning):
        assert "MLflow's webhook arrived after" in output
        assert re.search(r"In Dagster: http://127\.0\.0\.1:[0-9]+/runs/[0-9a-f-]{36}\n", output)
    assert "there is nothing to undo" in nothing_to_undo


def live(demo: RunningDemo, empty_home: Path, *options: str) -> str:
    """Play the live scene as in a second terminal, in which the user has no files."""
    process = subprocess.run(
        [sys.executable, "-m", "verifywise_mlflow.cli", "demo", "live", "--home", demo.home, *options],
        env={"PATH": os.defpath, "HOME": str(empty_home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_the_live_scene_needs_a_running_demo_and_names_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a demo"
    home.mkdir()
    arguments = ["demo", "live", "--home", str(tmp_path)]
    monkeypatch.delenv("VERIFYWISE_TENANTS", raising=False)
    unknown = CliRunner().invoke(app, arguments)
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(home / "tenants.yaml"))
    (home / "environment").touch()
    known = CliRunner().invoke(app, arguments)

    assert (unknown.exit_code, known.exit_code) == (1, 1)
    assert "its folder with --home, or start one with make demo" in " ".join(unknown.output.split())
    assert f"--home '{home}'" in known.output.replace("\n", "")


@pytest.fixture
def acme(demo: RunningDemo, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    return client(demo, ACME, monkeypatch)


@pytest.fixture
def globex(demo: RunningDemo, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    return client(demo, GLOBEX, monkeypatch)


def client(demo: RunningDemo, workspace: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", demo.mlflow_uri)
    monkeypatch.setenv("MLFLOW_WORKSPACE", workspace)
    return MlflowClient(demo.mlflow_uri)


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
    assert names == {"readmissionRisk", "tumour-triage", SEPSIS, "Bed Occupancy", "letter-writer"}


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
    assert documented.tags["privacy_assessment"].startswith("DPIA completed 20")
    assert {"owner", "approver", "validator", "risk_category", "data_sensitivity"} <= set(documented.tags)
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40
    assert 0.5 < run.data.metrics["roc_auc"] <= 1
    assert run.inputs is not None
    datasets = {dataset_input.dataset.name for dataset_input in run.inputs.dataset_inputs}
    assert datasets == {"loan_applicants_2025", "loan_applicants_2025_holdout"}
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


def test_an_agent_uses_the_second_version_of_a_prompt(globex: MlflowClient) -> None:
    registered = version(globex, "letter-writer", 1)
    assert registered.source is not None
    agent = globex.get_logged_model(registered.source.removeprefix("models:/"))
    assert (agent.model_type, agent.name) == ("agent", "letter-writer")
    assert json.loads(agent.tags["mlflow.linkedPrompts"]) == [{"name": "discharge-letter", "version": "2"}]


def test_a_name_has_quotes_of_both_kinds_and_an_umlaut(globex: MlflowClient) -> None:
    live = globex.get_model_version_by_alias(SEPSIS, "live")
    evaluation = mlflow.artifacts.load_text(f"runs:/{live.run_id}/evaluation/confusion_matrix.json")
    assert sum(map(sum, json.loads(evaluation)["matrix"])) == 100


def test_every_version_is_reported_as_progress(demo: RunningDemo) -> None:
    assert len([step for step in demo.steps if "registered" in step]) == 16
    assert f"{GLOBEX}: trained and registered {SEPSIS}, version 1" in demo.steps


def test_a_failed_seeding_reports_the_reason(
    demo: RunningDemo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_seeding, "TENANTS", (ACME,))  # the failure of one tenant is enough
    messages: list[str] = []
    with pytest.raises(ProcessFailedError, match=r"(?s)Seeding the registry of .*already exists"):
        registry_seeding.seed_registries(demo.mlflow_uri, tmp_path, messages.append)


def test_runs_are_forked_from_a_process_that_has_nothing_a_fork_must_not_share(demo: RunningDemo) -> None:
    children = psutil.Process(demo.process.pid).children(recursive=True)
    (code_server,) = [process for process in children if "grpc" in command_line(process)]
    (fork_server,) = [process for process in code_server.children() if "forkserver" in " ".join(command_line(process))]
    assert fork_server.num_threads() == 1
    assert fork_server.net_connections("inet") == []


def command_line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:  # the demo has just ended
        return []
