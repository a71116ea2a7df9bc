"""An alias is dangling only if its version is known to be deleted from a model that exists."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.persistence.repositories import dangling_aliases, registry, tenancy
from verifywise_mlflow.persistence.repositories.registry import ListedObject, ListedVersion
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.proxy import always, proxy_before, saying
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, sync

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("listed_at", "deleted", "is_dangling"),
    [
        (LATER, (), True),
        (NOON - timedelta(hours=1), (), False),
        (None, (), False),
        (None, ("version",), True),
        (LATER, ("version", "model"), False),
        (LATER, ("model",), False),
    ],
    ids=[
        "a complete listing after the alias",
        "a complete listing before the alias only",
        "no complete listing",
        "a tombstone",
        "the model was deleted with its version",
        "the model was deleted",
    ],
)
def test_an_alias_is_dangling_only_with_evidence(
    store: Store, listed_at: datetime | None, deleted: tuple[str, ...], is_dangling: bool
) -> None:
    model = RegisteredModel("churn", aliases={"champion": 7, "challenger": 1})
    numbers = (1, 7) if "version" in deleted else (1,)
    listed = [ListedObject(ListedVersion(ModelVersion("churn", number), []), "f") for number in numbers]
    with store.begin("acme") as session:
        registry.write_models(session, [ListedObject(model, "f")], NOON)
        registry.write_versions(session, listed, LATER)
        tenancy.record_refresh(session, Stage.MODEL_VERSIONS, "s", NOON, reconciled=False)
        if listed_at:
            tenancy.record_refresh(session, Stage.MODEL_VERSIONS, "s", listed_at, reconciled=True)
        if "version" in deleted:
            registry.mark_versions_deleted(session, [("churn", 7)], LATER)
        if "model" in deleted:
            registry.mark_models_deleted(session, ["churn"], LATER)

        missing = dangling_aliases.missing_numbers(session, registry.models_by_name(session, ["churn"]))

    assert missing == ({"churn": {7}} if is_dangling else {})


def is_dangling(store: Store, alias: str, version: int) -> bool:
    return f"the model's alias '{alias}' points to" in str(record(store, "churn", version)["findings"])


def test_an_alias_dangles_once_its_version_is_known_to_be_gone(
    registry: Registry, tenant: Tenant, store: Store, workspace: str, mlflow_database: Path
) -> None:
    def leave_alias(alias: str, version: int) -> None:
        """Leave the alias of a deleted version, as MLflow up to 3.1 does."""
        with sqlite3.connect(mlflow_database, timeout=30) as connection:
            connection.execute(
                "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES (?, 'churn', ?, ?)",
                (workspace, alias, version),
            )

    registry.version("churn")
    registry.version("churn")
    registry.client.set_registered_model_alias("churn", "champion", "2")
    sync(tenant, store)
    registry.client.delete_model_version("churn", "2")
    leave_alias("champion", 2)
    with proxy_before(tenant.tracking_uri) as proxy:
        proxied_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri})
        proxy.fault = always(saying(500), "model-versions/get")
        sync(proxied_tenant, store)
        unconfirmed = is_dangling(store, "champion", 1)
        sync(tenant, store)
        confirmed = is_dangling(store, "champion", 1)

        leave_alias("legacy", 9)
        proxy.fault = always(saying(200, '{"model_versions": [{"name": []}]}'), "model-versions/search")
        sync(proxied_tenant, store)
        after_incomplete_listing = is_dangling(store, "legacy", 1)
    sync(tenant, store)
    after_complete_listing = is_dangling(store, "legacy", 1)
    unchanged = sync(tenant, store)

    assert (unconfirmed, confirmed) == (False, True)
    assert (after_incomplete_listing, after_complete_listing) == (False, True)
    assert record(store, "churn", 2)["findings"] == [], "the withdrawn record stays as it was"
    assert [report.progress.changed for report in unchanged.reports] == [0] * 6
