"""The data quality checks of a stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import yaml

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.checks.data_quality import stage_check_results
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import Note, NoteKind, Progress, StageReport
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow_tests.support.evaluation_fixtures import tenant_with_policies
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.stored_states import NOON, write_record


@pytest.mark.parametrize(
    ("progress", "has_passed"),
    [
        (Progress(read=3), True),
        (Progress(read=3, incomplete=1), False),
        (Progress(read=3, notes=[Note("the listing is incomplete")]), False),
        (Progress(read=3, notes=[Note("manifests are disabled", NoteKind.INFO)]), True),
    ],
)
def test_the_check_complete_warns_about_incomplete_reads_and_not_about_settings(
    store: Store, progress: Progress, has_passed: bool
) -> None:
    report = StageReport(Stage.MODEL_VERSIONS, progress, 1, 1, 0.1)

    (result,) = stage_check_results(Sync(tenant_with_policies(), store), report)

    assert (result.check_name, result.passed) == ("complete", has_passed)
    assert all(note.text in str(result.description) for note in progress.notes)


def test_files_that_could_not_be_read_are_not_shown_to_be_intact(store: Store) -> None:
    report = StageReport(Stage.ARTIFACT_MANIFESTS, Progress(read=0), 1, 1, 0.1)
    inputs = RecordInputs(ModelVersion("fraud", 1), RegisteredModel("fraud"), manifest_read_error="HTTP 403")
    results = []
    for record_inputs in (replace(inputs, manifest_read_error=None), inputs):
        write_record(store, record_inputs, NOON)
        _, intact = stage_check_results(Sync(tenant_with_policies(), store), report)
        results.append((intact.check_name, intact.passed))

    assert results == [("intact", True), ("intact", False)]


def test_a_tenant_without_manifests_does_not_warn(registry: Registry, tenants_file: Path) -> None:
    registry.trained_version("churn")
    configured = yaml.safe_load(tenants_file.read_text())
    configured["tenants"]["acme"]["artifacts"] = {"manifests": False}
    tenants_file.write_text(yaml.safe_dump(configured))

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        job = defs.resolve_job_def("sync_tenant")
        result = job.execute_in_process(instance=instance, partition_key="acme", raise_on_error=False)

    assert result.success
    complete = {
        check.asset_key.to_user_string(): check
        for check in result.get_asset_check_evaluations()
        if check.check_name == "complete"
    }
    assert {asset for asset, check in complete.items() if not check.passed} == set()
    assert "manifests are switched off" in str(complete["artifact_manifests"].description)
