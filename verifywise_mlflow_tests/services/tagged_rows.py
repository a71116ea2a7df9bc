"""Rows of models, versions, runs and logged models with tags, written directly into the store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import insert

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import logged_models, model_versions, registered_models, training_runs
from verifywise_mlflow.tenants.tenant import Tenant

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TENANT = Tenant(tenant_id="acme", tracking_uri="https://mlflow.acme.example")
WRITTEN_COLUMNS = {"problems": [], "fingerprint": "f", "changed_at": NOW}
READ_COLUMNS = {"metrics": {}, "params": {}, "retry": False, "read_for_revision": 1}


def write_version(
    store: Store, number: int, tags: Mapping[str, str], *, tenant_id: str = "acme", **other: object
) -> None:
    row = {"tenant_id": tenant_id, "model_name": "fraud", "version_number": number, "tags": dict(tags), "aliases": []}
    with store.begin(tenant_id) as session:
        session.execute(insert(model_versions).values(**row, hidden_from_search=False, **WRITTEN_COLUMNS, **other))


def write_model(store: Store, tags: Mapping[str, str]) -> None:
    row = {"tenant_id": "acme", "model_name": "fraud", "tags": dict(tags), "aliases": {}, "hidden_from_search": False}
    with store.begin("acme") as session:
        session.execute(insert(registered_models).values(**row, **WRITTEN_COLUMNS))


def write_run(store: Store, run_id: str, tags: Mapping[str, str]) -> None:
    row = {"tenant_id": "acme", "run_id": run_id, "tags": dict(tags), "datasets": [], "logged_model_ids": []}
    with store.begin("acme") as session:
        session.execute(insert(training_runs).values(**row, **READ_COLUMNS, **WRITTEN_COLUMNS))


def write_logged_model(store: Store, model_id: str, run_id: str, tags: Mapping[str, str]) -> None:
    row = {"tenant_id": "acme", "model_id": model_id, "tags": dict(tags), "source_run_id": run_id}
    with store.begin("acme") as session:
        session.execute(insert(logged_models).values(**row, **READ_COLUMNS, **WRITTEN_COLUMNS))
