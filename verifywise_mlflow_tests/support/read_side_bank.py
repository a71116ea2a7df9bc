"""A bank whose registry two syncs have read, forty days apart, for tests of commands, the Python API and documents.

Its models: ``credit-scoring`` with a champion in production and a challenger, ``fraud`` in production without an owner
and without a privacy assessment, ``churn`` in production with both, and ``notes``, whose files cannot be read.
``credit-scoring`` and ``fraud`` were trained on the same data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry, create_workspace

FIRST_SYNC_DAYS_AGO: Final = 40
LOANS: Final = Dataset("loans", "5f0c2a91", "local", '{"uri": "s3://bank/loans.parquet"}')
LOANS_OF_THIS_YEAR: Final = Dataset("loans", "93be77d0", "local", '{"uri": "s3://bank/loans-new.parquet"}')
CUSTOMERS: Final = Dataset("customers", "c4d1e0aa", "local", '{"uri": "s3://bank/customers.parquet"}')


@dataclass(frozen=True, slots=True)
class Bank:
    """A database with the rows that the syncs stored, and the tenants.yaml that they used."""

    database_url: str
    tenants_file: Path
    first_sync: datetime
    second_sync: datetime
    waiver_ends: date


@contextmanager
def synced_bank(database_url: str, mlflow_uri: str, artifacts: Path, folder: Path) -> Iterator[Bank]:
    """Fill two workspaces, sync them twice, and yield the result."""
    now = datetime.now(UTC)
    bank = Bank(
        database_url,
        folder / "tenants.yaml",
        first_sync=now - timedelta(days=FIRST_SYNC_DAYS_AGO),
        second_sync=now - timedelta(hours=2),
        waiver_ends=(now + timedelta(days=20)).date(),
    )
    with pytest.MonkeyPatch.context() as environment, Store(database_url) as store:
        workspaces = {}
        registries = {}
        for tenant in ("acme", "globex"):
            workspaces[tenant] = create_workspace(mlflow_uri, environment)
            registries[tenant] = Registry(MlflowClient(mlflow_uri), folder, artifacts)
            {"acme": _register_models, "globex": _register_other}[tenant](registries[tenant])
        _write_settings(bank, mlflow_uri, workspaces)
        environment.setenv("VERIFYWISE_TENANTS", str(bank.tenants_file))  # waivers.yaml is next to it
        _sync(store, bank, bank.first_sync)
        environment.setenv("MLFLOW_WORKSPACE", workspaces["acme"])
        _change_models(registries["acme"].client)
        _sync(store, bank, bank.second_sync)
    yield bank


def _register_models(registry: Registry) -> None:
    common = {"ai_system": "Consumer lending", "data_sensitivity": "personal", "risk_category": "high"}
    scoring = {**common, "owner": "Credit Risk", "business_purpose": "First assessment of consumer loans"}
    files = {f"model/{name}": content for name, content in MODEL_FILES.items()}
    for auc, data in ((0.81, LOANS), (0.84, LOANS_OF_THIS_YEAR)):
        run = registry.run(
            experiment="scoring", metrics={"auc": auc}, params={"depth": "6"}, datasets=[data], files=files
        )
        registry.version("credit-scoring", run_id=run, source=f"runs:/{run}/model", tags=scoring)
    run = registry.run(experiment="fraud", metrics={"recall": 0.7}, datasets=[LOANS, CUSTOMERS], files=files)
    registry.version("fraud", run_id=run, source=f"runs:/{run}/model", tags={**common, "owner": "Payments"})
    run = registry.run(experiment="churn", metrics={"accuracy": 0.93}, datasets=[CUSTOMERS], files=files)
    churn = {"owner": "Marketing", "data_sensitivity": "personal", "privacy_assessment_status": "completed"}
    registry.version("churn", run_id=run, source=f"runs:/{run}/model", tags={**churn, "business_purpose": "Retention"})
    registry.version("notes", source="s3://elsewhere/notes", tags={"owner": "Operations"})
    client = registry.client
    for model in ("credit-scoring", "fraud", "churn"):
        client.transition_model_version_stage(model, "1", "Production")
    client.set_registered_model_alias("credit-scoring", "champion", "1")


def _change_models(client: MlflowClient) -> None:
    client.delete_model_version_tag("fraud", "1", "owner")
    client.set_registered_model_alias("credit-scoring", "challenger", "2")
    client.set_model_version_tag("credit-scoring", "1", "approved_by", "Grace Hopper")
    client.set_model_version_tag("credit-scoring", "1", "approval_date", "2026-01-15")


def _register_other(registry: Registry) -> None:
    registry.version("pricing", tags={"owner": "Sales"})


def _write_settings(bank: Bank, mlflow_uri: str, workspaces: dict[str, str]) -> None:
    waivers = bank.tenants_file.with_name("waivers.yaml")
    waivers.write_text(
        "waivers:\n"
        "  - tenant: acme\n    rule: dataset-reference\n    model: notes\n    approver: Ada Lovelace\n"
        f"    reason: The data set is described in a paper file.\n    expires: {bank.waiver_ends}\n"
    )
    settings = "allow_private_network: true, artifacts: {sandbox: best_effort}"
    lines = [
        f"  {tenant}: {{tracking_uri: '{mlflow_uri}', workspace: {workspace}, {settings}}}\n"
        for tenant, workspace in workspaces.items()
    ]
    bank.tenants_file.write_text(f"tenants:\n{''.join(lines)}")


def _sync(store: Store, bank: Bank, at: datetime) -> None:
    for tenant in load_tenants(bank.tenants_file).values():
        with Sync(tenant, store, now=lambda: at) as run:
            run.run_all()
