"""A complete sync into Postgres, from the first request to the audit entry, without manifests."""

from __future__ import annotations

from contextlib import closing

from benchmarks.task import PASSWORD_VARIABLE, USER, ReadCounts, Task
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.auth import BasicCredentials, NoCredentials
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant


def tenant_of(task: Task) -> Tenant:
    """Return the tenant of a task."""
    password = SecretReference(f"env:{PASSWORD_VARIABLE}")
    return Tenant(
        tenant_id="acme",
        tracking_uri=task.uri,
        allow_private_network=True,
        auth=BasicCredentials(kind="basic", username=USER, password=password)
        if task.with_password
        else NoCredentials(),
        artifacts=Artifacts.model_validate({"stores": task.files.stores}) if task.files else Artifacts(manifests=False),
    )


def sync(task: Task, store: Store) -> ReadCounts:
    """Sync the tenant."""
    with closing(store), Sync(tenant_of(task), store) as run:
        run.run_all()
    progress = {report.stage: report.progress for report in run.reports}
    assert not any(stage.incomplete for stage in progress.values())
    return ReadCounts(
        models=progress[Stage.REGISTERED_MODELS].read,
        versions=progress[Stage.MODEL_VERSIONS].read,
        records=progress[Stage.CANONICAL_RECORDS].changed,
    )
