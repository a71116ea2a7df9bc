"""Runs a sync and reads its rows, for many tests."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text

from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.hinted_sync import targeted_options
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant

Row = Mapping[str, object]


def sync(tenant: Tenant, store: Store, options: SyncOptions | None = None) -> Sync:
    """Sync a tenant through all stages."""
    with Sync(tenant, store, options or SyncOptions()) as run:
        run.run_all()
    return run


def targeted_sync(tenant: Tenant, store: Store, *named: str | tuple[str, int]) -> Sync:
    """Sync the named models and versions of a tenant only."""
    objects = [HintedObject(ObjectKind.MODEL, *((item,) if isinstance(item, str) else item)) for item in named]
    with store.begin(tenant.tenant_id) as session:
        options = targeted_options(session, tenant, objects)
    assert options.is_targeted, "the tenant was never listed"
    return sync(tenant, store, options)


def rows(store: Store, table: str, order: str = "1, 2, 3") -> list[Row]:
    """Return all rows of a table, with values in the Python types of the columns."""
    with store.begin_shared() as connection:
        result = connection.execute(text(f"SELECT * FROM verifywise_mlflow.{table} ORDER BY {order}")).mappings()
        return [dict(row) for row in result]


def record(store: Store, model: str, version: int = 1) -> Row:
    """Return one canonical record."""
    with store.begin_shared() as connection:
        result = connection.execute(
            text(
                "SELECT * FROM verifywise_mlflow.canonical_records"
                " WHERE model_name = :model AND version_number = :version"
            ),
            {"model": model, "version": version},
        ).mappings()
        return dict(result.one())


def requests(run: Sync) -> int:
    """Return how many requests a sync sent."""
    return sum(report.requests for report in run.reports)
