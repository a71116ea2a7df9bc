"""Which permissions our account needs, and what a sync reports without them.

The account needs READ on experiments and on registered models; since MLflow 3.17 on prompts, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from mlflow import MlflowClient
from packaging.version import Version

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.connector.webhooks import available_events, list_webhooks
from verifywise_mlflow.http.errors import ForbiddenError, UnauthenticatedError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow_tests.compat.environments import ALL_ENVIRONMENTS, environments_before, environments_since
from verifywise_mlflow_tests.compat.manifests import expected_hashes, recorded_hashes
from verifywise_mlflow_tests.compat.own_servers.guarded_server import ADMIN, GuardedServer, start_guarded_server
from verifywise_mlflow_tests.compat.server import IS_PROMPT
from verifywise_mlflow_tests.compat.shared_registry import SharedRegistry
from verifywise_mlflow_tests.support.registry import MODEL_FILES
from verifywise_mlflow_tests.support.syncing import record, rows, sync


@dataclass(frozen=True, slots=True)
class SeededServer:
    """A guarded server with two models, each with its own run and experiment."""

    guarded: GuardedServer
    experiments: list[str]
    """The experiment ids of the runs of ``churn`` and ``fraud``."""
    versions: list[str]
    """The model name of each version. From MLflow 3 on, ``churn`` has a second version, of a logged model."""


@pytest.fixture(scope="module", params=ALL_ENVIRONMENTS)
def seeded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededServer]:
    home = tmp_path_factory.mktemp("guarded")
    with start_guarded_server(request.param, home) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
        environment.setenv("MLFLOW_TRACKING_PASSWORD", server.password(ADMIN))
        registry = SharedRegistry(MlflowClient(server.server.uri), tmp_path_factory.mktemp("files"))
        run_ids = {}
        for model in ("churn", "fraud"):
            files = {f"model/{name}": content for name, content in MODEL_FILES.items()}
            run_ids[model] = registry.run(experiment=f"about {model}", files=files, metrics={"accuracy": 0.93})
            registry.version(model, run_id=run_ids[model], source=f"runs:/{run_ids[model]}/model")
        if Version(server.server.version) >= Version("3"):
            model_id = registry.logged_model(registry.run(experiment="about churn"))
            registry.version("churn", source=f"models:/{model_id}", model_id=model_id)
        experiments = [registry.client.get_run(run_id).info.experiment_id for run_id in run_ids.values()]
        versions = sorted(version.name for version in registry.client.search_model_versions())
        yield SeededServer(server, experiments, versions)


def test_read_on_experiments_and_models_suffices_to_read_everything(seeded: SeededServer, store: Store) -> None:
    account = seeded.guarded.create_account()
    seeded.guarded.grant_read(account, experiments=seeded.experiments, models=["churn", "fraud"])

    run = sync(seeded.guarded.tenant(account), store)
    as_admin = sync(seeded.guarded.tenant(ADMIN).model_copy(update={"tenant_id": "admin"}), store)

    restricted_records, admin_records = (_records(store, tenant) for tenant in ("acme", "admin"))
    assert [row["model_name"] for row in restricted_records] == seeded.versions
    assert restricted_records == admin_records
    assert [row["incomplete"] for row in restricted_records] == [[]] * len(restricted_records)
    assert [recorded_hashes(row) for row in restricted_records] == [expected_hashes(MODEL_FILES, "model")] * len(
        restricted_records
    )
    assert [report.progress.notes for report in (*run.reports, *as_admin.reports)] == [[]] * 12


def test_without_read_on_an_experiment_its_runs_and_files_are_reported_as_forbidden(
    seeded: SeededServer, store: Store
) -> None:
    account = seeded.guarded.create_account()
    seeded.guarded.grant_read(account, experiments=seeded.experiments[:1], models=["churn", "fraud"])

    sync(seeded.guarded.tenant(account), store)

    assert record(store, "churn")["incomplete"] == []
    forbidden = record(store, "fraud")
    assert (forbidden["metrics"], forbidden["artifact_manifest"]["status"]) == (None, "unreachable")  # type: ignore[index]
    assert "the training run could not be read" in str(forbidden["incomplete"])
    assert "responded with 403" in str(forbidden["incomplete"])
    assert "READ" in str(forbidden["incomplete"])


@pytest.mark.parametrize("seeded", environments_since("3.17"), indirect=True, scope="module")
def test_without_read_a_model_is_not_listed_since_3_17(seeded: SeededServer, store: Store) -> None:
    account = seeded.guarded.create_account()
    seeded.guarded.grant_read(account, experiments=seeded.experiments, models=["fraud"])

    sync(seeded.guarded.tenant(account), store)

    assert [row["model_name"] for row in rows(store, "registered_models")] == ["fraud"]
    assert [row["model_name"] for row in rows(store, "canonical_records")] == ["fraud"]


@pytest.mark.parametrize("seeded", environments_before("3.17"), indirect=True, scope="module")
def test_without_read_on_a_model_its_versions_are_listed_without_it_up_to_3_1(
    seeded: SeededServer, store: Store
) -> None:
    account = seeded.guarded.create_account()
    seeded.guarded.grant_read(account, experiments=seeded.experiments, models=["fraud"])

    sync(seeded.guarded.tenant(account), store)

    assert [row["model_name"] for row in rows(store, "registered_models")] == ["fraud"]
    assert [row["model_name"] for row in rows(store, "canonical_records")] == seeded.versions
    assert "the registered model was not read" in str(record(store, "churn")["incomplete"])
    assert record(store, "fraud")["incomplete"] == []


@pytest.mark.parametrize("seeded", environments_since("3.17"), indirect=True, scope="module")
def test_hidden_models_are_found_only_with_read_on_prompts_since_3_17(
    seeded: SeededServer,
) -> None:
    account = seeded.guarded.create_account()
    seeded.guarded.grant_read(account, experiments=["*"], models=["*"])
    connection = connection_settings(seeded.guarded.tenant(account))
    hide = {"name": "fraud", "key": IS_PROMPT, "value": "true"}
    seeded.guarded.server.send("POST", "registered-models/set-tag", hide)
    seeded.guarded.server.send("POST", "model-versions/set-tag", hide | {"version": "1"})

    with closing(MlflowReader(connection)) as reader:
        without = _listed(reader)
        seeded.guarded.grant_read(account, prompts=["*"])
        with_prompts = _listed(reader)
    seeded.guarded.server.send("DELETE", "registered-models/delete-tag", hide)
    seeded.guarded.server.send("DELETE", "model-versions/delete-tag", hide | {"version": "1"})

    assert without == ({"churn": False}, {"churn": False})
    assert with_prompts == ({"churn": False, "fraud": True}, {"churn": False, "fraud": True})


def test_an_object_that_may_no_longer_be_read_is_not_taken_for_deleted(seeded: SeededServer, store: Store) -> None:
    account = seeded.guarded.create_account()
    seeded.guarded.grant_read(account, experiments=seeded.experiments, models=["churn", "fraud"])
    tenant = seeded.guarded.tenant(account)
    sync(tenant, store)
    stored_record = record(store, "churn")

    seeded.guarded.revoke(account, model="churn")
    second = sync(tenant, store, SyncOptions(reconcile=True))

    assert [report.progress.removed for report in second.reports[:2]] == [0, 0]
    for table in ("registered_models", "canonical_records"):
        assert {row["deleted_at"] for row in rows(store, table)} == {None}
    assert record(store, "churn")["metrics"] == stored_record["metrics"] == {"accuracy": 0.93}
    unreadable = [row for row in rows(store, "audit_entries") if row["kind"] == "object unreadable"]
    entries = [row for row in unreadable if row["object_name"] == "churn"]
    assert [(row["object_kind"], row["outcome"]) for row in entries] == [("registered model", "incomplete")]
    assert "responded with 403" in str(entries[0]["reason"])


def test_a_run_that_may_no_longer_be_read_leaves_the_record_active_and_incomplete(
    seeded: SeededServer, store: Store
) -> None:
    account = seeded.guarded.create_account()
    seeded.guarded.grant_read(account, experiments=seeded.experiments, models=["churn", "fraud"])
    tenant = seeded.guarded.tenant(account)
    sync(tenant, store)

    seeded.guarded.revoke(account, experiment=seeded.experiments[1])
    sync(tenant, store, SyncOptions(reconcile=True, rehash=True))

    row = record(store, "fraud")
    assert (row["deleted_at"], row["metrics"]) == (None, {"accuracy": 0.93})
    assert "the training run could not be read" in str(row["incomplete"])
    assert record(store, "churn")["incomplete"] == []


def test_a_wrong_password_is_reported_and_changes_nothing(seeded: SeededServer, store: Store) -> None:
    account = seeded.guarded.create_account()
    seeded.guarded.grant_read(account, experiments=seeded.experiments, models=["churn", "fraud"])
    tenant = seeded.guarded.tenant(account)
    sync(tenant, store)
    stored_rows = rows(store, "canonical_records")

    seeded.guarded.invalidate_password(account)
    with pytest.raises(UnauthenticatedError, match="responded with 401"):
        sync(tenant, store)

    assert rows(store, "canonical_records") == stored_rows
    entry = rows(store, "audit_entries", "sequence DESC")[0]
    assert (entry["outcome"], entry["credential_identity"]) == ("failed", tenant.auth.identity())
    assert seeded.guarded.password(account) not in str(rows(store, "audit_entries"))


def _listed(reader: MlflowReader) -> tuple[dict[str, bool], dict[str, bool]]:
    models, versions = reader.registered_models().read().rows, reader.model_versions().read().rows
    return (
        {model.name: model.hidden_from_search for model in models},
        {version.model_name: version.hidden_from_search for version in versions},
    )


def _records(store: Store, tenant: str) -> list[dict[str, object]]:
    """Return a tenant's records without tenant ids and write times."""
    own = {"tenant_id", "revision", "changed_at", "fingerprint", "sync_id"}
    return [
        {name: value for name, value in row.items() if name not in own}
        for row in rows(store, "canonical_records")
        if row["tenant_id"] == tenant
    ]


def test_webhooks_are_listed_for_administrators_only_since_3_17(seeded: SeededServer) -> None:
    version = seeded.guarded.server.version
    account, admin = (
        connection_settings(seeded.guarded.tenant(name)) for name in (seeded.guarded.create_account(), ADMIN)
    )

    if not available_events(version):
        with pytest.raises(EndpointNotFoundError):
            list_webhooks(admin)
        return
    assert list_webhooks(admin).rows == ()
    if Version(version) >= Version("3.17"):
        with pytest.raises(ForbiddenError):
            list_webhooks(account)
    else:
        assert list_webhooks(account).rows == ()  # and may register one
