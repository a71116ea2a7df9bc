"""The tenants of the tests of proofs: ``acme`` was synced on three days, ``globex`` twice. A key signed each sync."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Artifacts, Compliance, Tenant
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.evaluation_fixtures import rule_yaml, write_policy
from verifywise_mlflow_tests.support.registry import Registry, create_workspace

FIRST_SYNC: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND_SYNC: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
THIRD_SYNC: Final = datetime(2026, 3, 3, 12, tzinfo=UTC)
CLOCK_WENT_BACK: Final = timedelta(hours=2)
"""A longer time than a sync corrects: see ``StageStart.time_of_writes``."""
HOSTILE_OWNER: Final = "Risk \u202e\x1b[2J Team"
"""A mark that reverses what follows, and an order to clear a terminal."""


@dataclass(frozen=True, slots=True)
class ProvedTenants:
    """The tenants ``acme`` and ``globex`` in one store. Both have ``churn`` with two versions, and ``fraud``."""

    store: Store
    url: str
    key: SigningKey
    public_key: Path


@contextmanager
def proved_tenants(postgres: EmbeddedPostgres, mlflow_uri: str, folder: Path) -> Iterator[ProvedTenants]:
    """Sync ``acme`` three times, and ``globex`` twice, the second time with a clock that went back.

    Version 1 of ``churn`` loses its owner before the second sync, and is described before the third.
    """
    key = SigningKey.generate()
    policy = write_policy(
        folder / "policy.yaml",
        rule_yaml("owned", "owner != ''"),
        rule_yaml("described", "description != ''"),
        rule_yaml("named", """'model_name != ""'"""),
    )
    (folder / "signing.pem").write_bytes(key.pem())
    (folder / "signing.pem").chmod(0o600)
    public_key = folder / "public.pem"
    public_key.write_text(key.public.pem())
    with (
        pytest.MonkeyPatch.context() as environment,
        migrated_database(postgres) as url,
        Store(url) as store,
    ):
        environment.setenv("VERIFYWISE_AUDIT_SIGNING_KEY", f"file:{folder / 'signing.pem'}")
        for tenant_id in ("acme", "globex"):
            tenant = Tenant(
                tenant_id=tenant_id,
                tracking_uri=mlflow_uri,
                workspace=create_workspace(mlflow_uri, environment),
                allow_private_network=True,
                artifacts=Artifacts(sandbox="best_effort"),
                compliance=Compliance(default_policy=False, policies=(policy,)),
            )
            client = MlflowClient(mlflow_uri)
            registry = Registry(client, folder)
            registry.version("churn", tags={"owner": HOSTILE_OWNER, "risk_category": "high"})
            registry.version("churn", tags={"owner": "Operations"})
            registry.version("fraud")
            _sync(tenant, store, FIRST_SYNC)
            client.delete_model_version_tag("churn", "1", "owner")
            if tenant_id != "acme":
                _sync(tenant, store, FIRST_SYNC - CLOCK_WENT_BACK)
                continue
            _sync(tenant, store, SECOND_SYNC)
            client.update_model_version("churn", "1", "Who may leave.")
            _sync(tenant, store, THIRD_SYNC)
        yield ProvedTenants(store, url, key, public_key)


def _sync(tenant: Tenant, store: Store, now: datetime) -> None:
    with Sync(tenant, store, now=lambda: now) as run:
        run.run_all()
