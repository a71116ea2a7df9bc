"""Transient errors are retried once within the run; others are not retried."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.plan.active import ActiveExecution

from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.jobs import RETRY_POLICY, sync_tenant
from verifywise_mlflow.defs.run_tags import RETRY_ALL_STEPS
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow.pipeline.tenant_activation import activate_tenant
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows


def first_stage_events(tenant: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the job for a tenant; return the types of the first stage's events."""
    path.write_text(f"tenants:\n  acme: {{{tenant}}}\n")
    monkeypatch.setattr("time.sleep", lambda _: None)  # no back-off of the connector
    retry = ActiveExecution.mark_up_for_retry
    # Retry immediately, not after the policy's 5 s: without sleep, Dagster would check the clock all the time.
    monkeypatch.setattr(
        ActiveExecution, "mark_up_for_retry", lambda execution, step, _time=None: retry(execution, step)
    )
    job = defs.resolve_job_def(sync_tenant.name)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        result = job.execute_in_process(instance=instance, partition_key="acme", raise_on_error=False)
    return [event.event_type_value for event in result.all_events if event.step_key == "registered_models"]


def test_an_unreachable_server_is_retried_once(tenants_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable = f"tracking_uri: 'http://127.0.0.1:{free_port()}', allow_private_network: true"

    events = first_stage_events(unreachable, tenants_file, monkeypatch)

    assert (events.count("STEP_UP_FOR_RETRY"), events.count("STEP_RESTARTED"), events.count("STEP_FAILURE")) == (
        1,
        1,
        1,
    )
    assert (RETRY_POLICY.max_retries, RETRY_POLICY.delay) == (1, 5)


def test_a_missing_secret_is_not_retried(tenants_file: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = f"tracking_uri: '{mlflow_uri}', allow_private_network: true, auth: {{kind: bearer, token: 'env:ABSENT'}}"

    events = first_stage_events(bearer, tenants_file, monkeypatch)

    assert (events.count("STEP_UP_FOR_RETRY"), events.count("STEP_FAILURE")) == (0, 1)


def test_a_run_that_meets_a_newer_schema_is_left_to_a_whole_run_by_newer_code(tenants_file: Path, store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {SCHEMA}.alembic_version SET version_num = '9999'")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])

        defs.resolve_job_def(sync_tenant.name).execute_in_process(
            instance=instance, partition_key="acme", raise_on_error=False
        )

        (run,) = instance.get_runs()
        events = [entry.dagster_event_type for entry in instance.all_logs(run.run_id)]
    assert events.count(dg.DagsterEventType.STEP_UP_FOR_RETRY) == 0, "the same code would be refused again"
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags.items() >= RETRY_ALL_STEPS.items()


def test_a_sync_whose_stage_succeeds_on_retry_has_not_failed(
    registry: Registry, tenants_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.version("churn")
    lost, exclusive = [DatabaseError("the database is being restarted")], Store.exclusive
    lost[0].retryable = True

    def fail_once(self: Store, tenant_id: str) -> AbstractContextManager[None]:
        if lost:
            raise lost.pop()
        return exclusive(self, tenant_id)

    monkeypatch.setattr(Store, "exclusive", fail_once)

    events = first_stage_events(tenants_file.read_text().split("{", 1)[1].rsplit("}", 1)[0], tenants_file, monkeypatch)

    assert (events.count("STEP_UP_FOR_RETRY"), events.count("STEP_SUCCESS")) == (1, 1)
    (end_entry,) = [row for row in rows(store, "audit_entries", "sequence") if row["kind"] == "sync ended"]
    assert end_entry["outcome"] != "failed"


def test_a_sync_that_failed_to_start_is_started_by_the_retry(
    registry: Registry, tenants_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, activated = [DatabaseError("the database is being restarted")], activate_tenant
    lost[0].retryable = True

    def fail_once(session: TenantSession, tenant: Tenant, now: datetime, *, sync_id: str) -> None:
        if lost:
            raise lost.pop()
        activated(session, tenant, now, sync_id=sync_id)

    monkeypatch.setattr("verifywise_mlflow.pipeline.sync.activate_tenant", fail_once)

    events = first_stage_events(tenants_file.read_text().split("{", 1)[1].rsplit("}", 1)[0], tenants_file, monkeypatch)

    assert (events.count("STEP_UP_FOR_RETRY"), events.count("STEP_SUCCESS")) == (1, 1)
    kinds = [str(row["kind"]) for row in rows(store, "audit_entries", "sequence")]
    assert [kind for kind in kinds if kind.startswith("sync")] == ["sync started", "sync ended"]
