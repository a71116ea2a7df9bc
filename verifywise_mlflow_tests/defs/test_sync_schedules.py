"""When schedules request syncs, against the store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg

from verifywise_mlflow.defs.schedules.sync_schedules import reconcile, rehash
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.defs.sync_requests import JOB, requested_by
from verifywise_mlflow_tests.support.syncing import sync


def test_reconcile_requests_a_sync_within_the_interval_of_the_last_one(
    tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    assert requested_by(reconcile, instance) == ["acme"], "a tenant that was never synced"
    sync(tenant, store, SyncOptions())
    assert requested_by(reconcile, instance) == []
    assert requested_by(reconcile, instance, after=timedelta(minutes=53)) == []
    assert requested_by(reconcile, instance, after=timedelta(minutes=59)) == ["acme"]


def test_rehash_requests_a_sync_only_if_reconciling_is_too_rare(
    tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    sync(tenant, store)
    assert requested_by(rehash, instance, after=timedelta(hours=1)) == []
    assert requested_by(rehash, instance, after=timedelta(hours=2.5)) == ["acme"], "a tenth of a day"


def test_a_failed_sync_is_not_requested_again_at_once(tenants_file: Path, instance: dg.DagsterInstance) -> None:
    instance.add_run(dg.DagsterRun(JOB, status=dg.DagsterRunStatus.FAILURE, tags={"dagster/partition": "acme"}))
    assert requested_by(reconcile, instance) == []
    assert requested_by(reconcile, instance, after=timedelta(minutes=61)) == ["acme"]


def test_a_sync_that_was_canceled_in_the_queue_does_not_count_as_failed(
    tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    tags = {"dagster/partition": "acme"}
    instance.report_run_canceled(instance.add_run(dg.DagsterRun(JOB, tags=tags)))
    assert requested_by(reconcile, instance) == ["acme"]

    started_run = instance.add_run(dg.DagsterRun(JOB, tags=tags))
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB), started_run.run_id)
    instance.report_run_canceled(started_run)
    assert requested_by(reconcile, instance) == []
