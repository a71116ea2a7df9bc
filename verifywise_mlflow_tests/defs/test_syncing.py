"""Dagster runs the pipeline: a tenant is added to tenants.yaml, synced, and removed from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster_shared.serdes import serialize_value

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.run_tags import UNCHANGED_TAG
from verifywise_mlflow.defs.sensors.registry_sensors import tenants
from verifywise_mlflow.persistence.repositories import change_hints, tenancy
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import SIGNING_KEY_VARIABLE
from verifywise_mlflow.witnesses.reading import checkpoints_in
from verifywise_mlflow_tests.support.audit_chains import KEY
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(instance: dg.DagsterInstance, job: str = "sync_tenant", **options: object) -> dg.ExecuteInProcessResult:
    definition = defs.resolve_job_def(job)
    return definition.execute_in_process(instance=instance, partition_key="acme", raise_on_error=False, **options)  # type: ignore[arg-type]


def test_a_run_materializes_all_stages_and_evaluates_the_rules(
    registry: Registry, tenants_file: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    registry.trained_version("churn")
    registry.client.set_registered_model_alias("churn", "champion", "1")
    registry.client.set_model_version_tag("churn", "1", "onwer", "ann")
    instance.add_dynamic_partitions("tenants", ["acme"])

    result = run(instance)

    assert result.success
    materialized = {event.asset_key.to_user_string(): event for event in result.get_asset_materialization_events()}  # type: ignore[union-attr]
    assert len(materialized) == 7  # and the tenant's metrics over time
    hygiene = materialized["canonical_records"].step_materialization_data.materialization.metadata["tag_hygiene"]
    assert isinstance(hygiene, dg.TableMetadataValue)
    misspelled = [row.data for row in hygiene.records if row.data["problem"] == "misspelled key"]
    assert [(row["key"], row["probably"], row["example"]) for row in misspelled] == [
        ("'onwer'", "owner", "'churn' version 1")
    ]
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["reproducible_environment"].passed
    assert not checks["high_risk_category"].passed
    assert {check.severity for check in checks.values()} == {dg.AssetCheckSeverity.WARN}
    (entry,) = [row for row in rows(store, "audit_entries") if row["kind"] == "sync ended"]
    assert (entry["dagster_run_id"], entry["outcome"]) == (result.run_id, "complete")
    metadata = materialized["compliance_results"].step_materialization_data.materialization.metadata
    second_last = rows(store, "audit_entries", "sequence")[-2]  # the sync ended after its assets
    assert metadata["audit_trail_entries"].value == second_last["sequence"]
    assert metadata["audit_trail_hash"].value == second_last["entry_hash"]


def test_the_event_log_has_the_signed_checkpoint_of_the_sync_before(
    registry: Registry, tenants_file: Path, store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.version("churn")
    monkeypatch.setenv("SIGNING_KEY", KEY.pem().decode())
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, "env:SIGNING_KEY")
    instance.add_dynamic_partitions("tenants", ["acme"])

    assert run(instance).success
    (signed,) = rows(store, "audit_checkpoints")
    assert run(instance).success

    event = instance.get_latest_materialization_event(dg.AssetKey("compliance_results"))
    assert event is not None
    assert checkpoints_in(serialize_value(event)) == [Checkpoint(str(signed["checkpoint"]), str(signed["signature"]))]


def test_metrics_are_recorded_over_time_and_the_latest_are_shown_on_compliance_results(
    registry: Registry, tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    registry.trained_version("churn")
    instance.add_dynamic_partitions("tenants", ["acme"])

    assert run(instance).success
    registry.client.set_model_version_tag("churn", "1", "owner", "ann")
    result = run(instance)

    records = instance.fetch_materializations(dg.AssetKey(["compliance_over_time", "acme"]), limit=10).records
    newest, first = [
        {name: entry.value for name, entry in record.asset_materialization.metadata.items()}  # type: ignore[union-attr]
        for record in records
    ]
    assert first.keys() == newest.keys() >= {"compliance_score", "open_gaps", "open_gaps_critical", "oldest_gap_days"}
    assert "low 1, medium 2, high 4, critical 8" in str(newest["compliance_score_formula"])
    assert "failing if a rule failed" in str(newest["badge_formula"])
    assert newest["open_gaps_high"] == first["open_gaps_high"] - 1  # type: ignore[operator]  # numbers
    assert newest["compliance_score"] > first["compliance_score"]  # type: ignore[operator]
    (evaluated,) = instance.fetch_materializations(dg.AssetKey("compliance_results"), limit=1).records
    metadata = evaluated.asset_materialization.metadata  # type: ignore[union-attr]
    assert {name: metadata[name].value for name in newest} == newest
    owner = next(check for check in result.get_asset_check_evaluations() if check.check_name == "owner")
    assert owner.passed
    assert metadata["over_time"].value == dg.AssetKey(["compliance_over_time", "acme"])
    urgent = metadata["urgent_gaps"]
    assert isinstance(urgent, dg.TableMetadataValue)
    severities = [Severity(str(row.data["severity"])) for row in urgent.records]
    assert severities == sorted(severities, key=list(Severity).index, reverse=True)
    assert {row.data["version"] for row in urgent.records} == {"churn version 1"}


def test_an_unchanged_sync_writes_few_events_and_updates_every_check(
    registry: Registry, tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    for model in ("churn", "fraud", "risk", "pricing", "support"):
        registry.version(model)
    instance.add_dynamic_partitions("tenants", ["acme"])
    first = run(instance)
    assert first.success

    result = run(instance)

    marked = {run.run_id for run in instance.get_runs(dg.RunsFilter(tags={UNCHANGED_TAG: "true"}))}
    assert marked == {result.run_id}
    events = [serialize_value(event) for event in instance.all_logs(result.run_id)]
    checks = {key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key.path[-1] in set(Stage)}
    # One event per check and about 50 others; 5 KiB per check if a third of the rules is open. Each sync of each tenant
    # writes that much.
    assert len(events) < len(checks) + 60
    assert sum(map(len, events)) < len(checks) * 5.3 * 1024
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
    # Dagster assigns a check to the newest materialization if both belong to one run.
    assert {key for key, record in newest.items() if record.run_id == result.run_id and record.evaluation} == checks
    # A check's page, with a line per tenant, uses the materialization that the result names.
    partitions = instance.event_log_storage.get_asset_check_partition_info(list(checks))
    assert {info.check_key for info in partitions if info.is_current} == checks


def test_a_targeted_run_says_what_it_read_and_completes_no_listing(
    registry: Registry, tenants_file: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    registry.version("churn")
    registry.version("fraud")
    instance.add_dynamic_partitions("tenants", ["acme"])
    assert run(instance).success
    refreshed = {row["stage"]: row["refreshed_at"] for row in rows(store, "stage_refreshes")}
    registry.client.set_model_version_tag("churn", "1", "owner", "ann@example.com")
    registry.client.set_model_version_tag("fraud", "1", "owner", "ann@example.com")
    with store.begin("acme") as session:
        change_hints.record(session, [HintedObject(ObjectKind.MODEL, "churn", 1)], datetime.now(UTC))

    result = run(instance, job="targeted_sync")

    assert result.success
    read = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata  # type: ignore[union-attr]
        for event in result.get_asset_materialization_events()
    }["model_versions"]
    assert str(read["scope"].value).startswith("targeted: 1 ")
    assert isinstance(read["objects"], dg.TableMetadataValue)
    assert [record.data for record in read["objects"].records] == [{"kind": "model", "name": "churn", "version": 1}]
    owners = {row["model_name"]: row["tags"].get("owner") for row in rows(store, "model_versions")}  # type: ignore[attr-defined]  # JSON
    assert owners == {"churn": "ann@example.com", "fraud": None}
    assert rows(store, "change_hints") == []
    after = {row["stage"]: row["refreshed_at"] for row in rows(store, "stage_refreshes")}
    assert after["model_versions"] == refreshed["model_versions"], "it makes no tenant look fresh"
    checks = {(check.asset_key.to_user_string(), check.check_name) for check in result.get_asset_check_evaluations()}
    assert ("canonical_records", "fresh") in checks
    assert ("model_versions", "complete") not in checks, "it says nothing about what was not read"


def test_a_targeted_run_without_hints_contacts_no_server_and_materializes_nothing(
    tenants_file: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    tenants_file.write_text("tenants: {acme: {tracking_uri: 'http://127.0.0.1:9', allow_private_network: true}}\n")
    instance.add_dynamic_partitions("tenants", ["acme"])
    with store.begin("acme") as session:  # as after a complete listing
        tenancy.record_refresh(session, "model_versions", "sync", datetime.now(UTC), reconciled=True)

    result = run(instance, job="targeted_sync")

    assert result.success
    assert result.get_asset_materialization_events() == []
    assert rows(store, "audit_entries") == []
    marked = {run.run_id for run in instance.get_runs(dg.RunsFilter(tags={UNCHANGED_TAG: "true"}))}
    assert marked == {result.run_id}


def test_a_missing_secret_fails_the_run_with_a_message_that_names_it(
    tenants_file: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    tenants_file.write_text(
        "tenants:\n  acme: {tracking_uri: 'http://127.0.0.1:9', auth: {kind: bearer, token: 'env:ABSENT_TOKEN'}}\n"
    )
    instance.add_dynamic_partitions("tenants", ["acme"])

    result = run(instance)

    assert not result.success
    (failure,) = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    assert "ABSENT_TOKEN" in str(failure.step_failure_data.error_display_string)
    (entry,) = [row for row in rows(store, "audit_entries") if row["kind"] == "sync ended"]
    assert entry["outcome"] == "failed"


def test_the_sensor_adds_a_tenant_once_and_requests_its_first_sync(
    tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    first = tenants(dg.build_sensor_context(instance=instance))
    assert isinstance(first, dg.SensorResult)
    assert [request.partition_key for request in first.run_requests or []] == ["acme"]
    assert [request.partition_keys for request in first.dynamic_partitions_requests or []] == [["acme"]]

    instance.add_dynamic_partitions("tenants", ["acme"])

    second_evaluation = tenants(dg.build_sensor_context(instance=instance, cursor=first.cursor))
    assert isinstance(second_evaluation, dg.SensorResult)
    assert not second_evaluation.run_requests
    assert not second_evaluation.dynamic_partitions_requests
    assert second_evaluation.skip_reason


def test_a_removed_tenant_is_deactivated_and_keeps_its_data(
    registry: Registry, tenants_file: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    registry.version("churn")
    instance.add_dynamic_partitions("tenants", ["acme"])
    assert run(instance).success

    tenants_file.write_text("tenants: {}\n")
    tenants(dg.build_sensor_context(instance=instance))

    (row,) = rows(store, "tenants", "1")
    assert row["deactivated_at"] is not None
    assert len(rows(store, "canonical_records")) == 1
    assert instance.get_dynamic_partitions("tenants") == ["acme"]
    assert rows(store, "audit_entries", "sequence")[-1]["kind"] == "tenant deactivated"
    assert not run(instance).success
