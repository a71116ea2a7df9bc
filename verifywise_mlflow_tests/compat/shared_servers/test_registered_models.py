"""Models and versions are read unchanged from every MLflow version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from verifywise_mlflow.connector import registry_search, tracking_reader
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.http.errors import NotFoundError, RequestRejectedError
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import environments_before, on_servers
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.compat.shared_registry import MODEL_NAMES, SharedRegistry


def test_a_server_reports_its_version_and_that_it_has_no_workspaces(server: CompatServer, reader: MlflowReader) -> None:
    assert (reader.server.version, reader.server.workspaces) == (server.version, False)
    assert reader.traffic.requests == 2


def test_a_workspace_that_the_server_would_ignore_is_refused(tenant: Tenant) -> None:
    settings = replace(connection_settings(tenant), workspace="team-a")

    with pytest.raises(RequestRejectedError, match="workspace: team-a would be ignored"):
        MlflowReader(settings)


def test_a_registry_is_read_in_full(registry: SharedRegistry, reader: MlflowReader) -> None:
    created = [
        registry.version("churn", source=f"s3://bucket/{number}", tags={"owner": f"ann {number}"}) for number in (1, 2)
    ]
    registry.version("churn", description="first\nline")
    client = registry.client
    client.update_registered_model("churn", "Who leaves?")
    client.set_registered_model_tag("churn", "team", "risk")
    client.set_registered_model_alias("churn", "champion", "2")
    client.set_registered_model_alias("churn", "last", "3")

    models, versions = reader.registered_models().read(), reader.model_versions().read()

    (model,) = models.rows
    assert (model.name, model.description) == ("churn", "Who leaves?")
    assert (model.tags, model.aliases) == ({"team": "risk"}, {"champion": 2, "last": 3})
    assert [(v.version_number, v.source, v.tags, v.description) for v in versions.rows] == [
        (1, "s3://bucket/1", {"owner": "ann 1"}, None),
        (2, "s3://bucket/2", {"owner": "ann 2"}, None),
        (3, "s3://elsewhere/model", {}, "first\nline"),
    ]
    first = versions.rows[0]
    assert first.created_at is not None
    assert round(first.created_at.timestamp() * 1000) == created[0].creation_timestamp
    assert (first.status, first.stage, first.run_id) == ("READY", None, None)
    assert models.is_complete
    assert versions.is_complete
    assert reader.registered_model("churn") == model
    assert [reader.model_version("churn", number) for number in (1, 2, 3)] == list(versions.rows)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_model_of_any_name_is_listed_and_found(name: str, registry: SharedRegistry, reader: MlflowReader) -> None:
    registry.version(name, tags={"owner": name})
    registry.client.set_registered_model_alias(name, "champion", "1")

    (model,), (version,) = reader.registered_models().read().rows, reader.model_versions().read().rows

    assert (model.name, model.aliases) == (name, {"champion": 1})
    assert (version.model_name, version.tags) == (name, {"owner": name})
    assert reader.registered_model(name) == model
    assert reader.model_version(name, 1) == version


def test_a_version_is_listed_in_any_stage_and_status(
    server: CompatServer, registry: SharedRegistry, reader: MlflowReader
) -> None:
    for _ in range(5):
        registry.version("churn")
    for number, stage in (("1", "Archived"), ("2", "Staging"), ("3", "Production")):
        body = {"name": "churn", "version": number, "stage": stage, "archive_existing_versions": False}
        server.send("POST", "model-versions/transition-stage", body)
    # No endpoint sets a status: MLflow itself sets it during a registration.
    written_rows = server.write_sql("UPDATE model_versions SET status = 'PENDING_REGISTRATION' WHERE version = 4")
    written_rows += server.write_sql(
        "UPDATE model_versions SET status = 'FAILED_REGISTRATION', status_message = 'no copy' WHERE version = 5"
    )

    versions = reader.model_versions().read().rows

    assert written_rows == 2
    assert [(v.version_number, v.stage, v.status, v.status_message) for v in versions] == [
        (1, "Archived", "READY", None),
        (2, "Staging", "READY", None),
        (3, "Production", "READY", None),
        (4, None, "PENDING_REGISTRATION", None),
        (5, None, "FAILED_REGISTRATION", "no copy"),
    ]
    assert [reader.model_version("churn", number) for number in range(1, 6)] == list(versions)


@on_servers(environments_before("3.17"))
def test_an_alias_of_a_deleted_version_dangles_up_to_3_1(registry: SharedRegistry, reader: MlflowReader) -> None:
    registry.version("churn")
    registry.version("churn")
    registry.client.set_registered_model_alias("churn", "champion", "1")
    registry.client.delete_model_version("churn", "1")

    (model,), versions = reader.registered_models().read().rows, reader.model_versions().read().rows

    assert model.aliases == {"champion": 1}
    assert [version.version_number for version in versions] == [2]
    with pytest.raises(NotFoundError):
        reader.model_version("churn", 1)


def test_a_listing_in_small_pages_is_the_same(
    registry: SharedRegistry, reader: MlflowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in ("a", "b", "c", "d"):
        registry.version(model)
        registry.version(model)
    default_listings = reader.registered_models().read(), reader.model_versions().read(), reader.experiments()

    # The last page of both listings is exactly full, and MLflow up to 3.1 then returns an empty page.
    for module, name in (
        (registry_search, "MODELS_PAGE_SIZE"),
        (registry_search, "VERSIONS_PAGE_SIZE"),
        (tracking_reader, "EXPERIMENTS_PAGE_SIZE"),
    ):
        monkeypatch.setattr(module, name, 2)
    before = reader.traffic.requests
    paged = reader.registered_models().read(), reader.model_versions().read(), reader.experiments()

    assert [version.version_number for version in paged[1].rows] == [1, 2] * 4
    assert paged == default_listings
    assert reader.traffic.requests - before >= 2 + 4
