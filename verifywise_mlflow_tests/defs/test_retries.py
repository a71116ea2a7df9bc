"""What passes by itself is tried once more within the run; what does not, is not."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest

from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.jobs import RETRY_POLICY, sync_tenant
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import activate_tenant
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.syncing import rows
from verifywise_mlflow_tests.registry import Registry


def events(described: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the job for a tenant; return the kinds of the first stage's events."""
    path.write_text(f"tenants:\n  acme: {{{described}}}\n")
    monkeypatch.setattr("time.sleep", lambda _: None)  # neither 5 s nor the connector's waits
    job = defs.resolve_job_def(sync_tenant.name)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        result = job.execute_in_process(instance=instance, partition_key="acme", raise_on_error=False)
    return [event.event_type_value for event in result.all_events if event.step_key == "registered_models"]


def test_a_server_that_is_down_is_asked_once_more(tenants_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"tracking_uri: 'http://127.0.0.1:{free_port()}', allow_private_network: true"

    seen = events(nobody, tenants_file, monkeypatch)

    assert (seen.count("STEP_UP_FOR_RETRY"), seen.count("STEP_RESTARTED"), seen.count("STEP_FAILURE")) == (1, 1, 1)
    assert (RETRY_POLICY.max_retries, RETRY_POLICY.delay) == (1, 5)


def test_a_secret_that_is_not_there_is_not_looked_for_again(
    tenants_file: Path, mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearer = f"tracking_uri: '{mlflow_uri}', allow_private_network: true, auth: {{kind: bearer, token: 'env:ABSENT'}}"

    seen = events(bearer, tenants_file, monkeypatch)

    assert (seen.count("STEP_UP_FOR_RETRY"), seen.count("STEP_FAILURE")) == (0, 1)


def test_a_sync_whose_stage_passed_the_second_time_has_not_failed(
    registry: Registry, tenants_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.version("churn")
    lost, exclusive = [DatabaseError("the database is being restarted")], Store.exclusive
    lost[0].retryable = True

    def lost_at_first(self: Store, tenant_id: str) -> AbstractContextManager[None]:
        if lost:
            raise lost.pop()
        return exclusive(self, tenant_id)

    monkeypatch.setattr(Store, "exclusive", lost_at_first)

    seen = events(tenants_file.read_text().split("{", 1)[1].rsplit("}", 1)[0], tenants_file, monkeypatch)

    assert (seen.count("STEP_UP_FOR_RETRY"), seen.count("STEP_SUCCESS")) == (1, 1)
    (ended,) = [row for row in rows(store, "audit_entries", "sequence") if row["kind"] == "sync ended"]
    assert ended["outcome"] != "failed"


def test_a_sync_that_could_not_begin_is_begun_by_the_second_try_and_not_ended_before(
    registry: Registry, tenants_file: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, activated = [DatabaseError("the database is being restarted")], activate_tenant
    lost[0].retryable = True

    def lost_at_first(session: TenantSession, tenant: Tenant, now: datetime, *, sync_id: str) -> None:
        if lost:
            raise lost.pop()
        activated(session, tenant, now, sync_id=sync_id)

    monkeypatch.setattr("verifywise_mlflow.pipeline.sync.activate", lost_at_first)

    seen = events(tenants_file.read_text().split("{", 1)[1].rsplit("}", 1)[0], tenants_file, monkeypatch)

    assert (seen.count("STEP_UP_FOR_RETRY"), seen.count("STEP_SUCCESS")) == (1, 1)
    kinds = [str(row["kind"]) for row in rows(store, "audit_entries", "sequence")]
    assert [kind for kind in kinds if kind.startswith("sync")] == ["sync started", "sync ended"]
