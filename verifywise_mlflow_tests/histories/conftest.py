"""A registry with its twin, and the comparison of each sync with the twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.histories.conclusions import Conclusions
from verifywise_mlflow_tests.histories.twin_registry import TwinRegistry
from verifywise_mlflow_tests.support.intact_records import assert_intact
from verifywise_mlflow_tests.support.syncing import sync


@pytest.fixture
def twin(mlflow_uri: str, workspace: str, mlflow_database: Path) -> TwinRegistry:
    return TwinRegistry(MlflowClient(mlflow_uri), workspace, mlflow_database, mlflow_database.parent / "artifacts")


@pytest.fixture
def compared_sync(twin: TwinRegistry, tenant: Tenant, store: Store) -> Callable[..., None]:
    """Sync the tenant and compare all conclusions with the truth. The function takes the fields of ``SyncOptions``."""
    conclusions = Conclusions(twin, store)

    def run(*, rehash: bool = False, reconcile: bool = False) -> None:
        sync(tenant, store, SyncOptions(reconcile=reconcile, rehash=rehash))
        conclusions.check(is_complete=True, is_rehash=rehash, is_reconcile=reconcile)
        assert_intact(store)

    return run
