"""The reader on MLflow servers: the features that it needs, and the objects that it reads."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    HttpError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.connector.readers import FakeListings, settings_for, versions
from verifywise_mlflow_tests.support import mlflow_process
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)
from verifywise_mlflow_tests.support.registry import Registry


def test_a_gateway_that_refuses_the_version_endpoint_does_not_prevent_reading() -> None:
    def script(server: HostileServer, request: ReceivedRequest) -> bytes:
        if request.target == "/version":
            return make_response("no", 403, "text/plain")
        return FakeListings({("model-versions", ""): {"model_versions": versions(1)}})(server, request)

    with hostile_server(script) as server, closing(MlflowReader(settings_for(server.uri))) as reader:
        assert reader.server.version is None
        assert len(reader.model_versions().read().rows) == 1


def test_a_model_with_long_tags_does_not_prevent_the_detection_of_a_prefix() -> None:
    def script(_server: HostileServer, request: ReceivedRequest) -> bytes:
        if "/registered-models/search" in request.target:
            tags = [{"key": "card", "value": "x" * 90_000}]
            return json_response({"registered_models": [{"name": "churn", "tags": tags}]})
        return make_response("<html>not found</html>", 404, "text/html")

    with hostile_server(script) as server, closing(MlflowReader(settings_for(f"{server.uri}/ml"))) as reader:
        listed = reader.registered_models().read()

    assert [model.name for model in listed.rows] == ["churn"]
    assert not any("ajax-api" in request.target for request in server.requests)


def test_an_older_server_that_would_ignore_a_workspace_is_refused() -> None:
    def script(_server: HostileServer, _request: ReceivedRequest) -> bytes:
        return make_response("<html>not found</html>", 404, "text/html")

    with hostile_server(script) as server, pytest.raises(RequestRejectedError, match="the server has no workspaces"):
        MlflowReader(settings_for(server.uri, workspace="team-a"))


def test_a_real_server_reports_its_version_and_store_type(reader: MlflowReader) -> None:
    assert reader.server.version is not None
    assert reader.server.version.startswith("3.17")
    assert (reader.server.store_type, reader.server.workspaces) == ("SqlStore", True)
    assert reader.traffic.requests == 2


def test_a_missing_workspace_is_an_error_that_names_it(tenant: Tenant) -> None:
    settings = connection_settings(tenant.model_copy(update={"workspace": "nobodys"}))

    with closing(MlflowReader(settings)) as reader, pytest.raises(NotFoundError, match="nobodys"):
        reader.registered_models().read()


def test_workspaces_are_isolated_from_each_other(mlflow_uri: str, registry: Registry, reader: MlflowReader) -> None:
    registry.version("churn")

    with closing(MlflowReader(settings_for(mlflow_uri))) as default_reader:
        names = {model.name for model in default_reader.registered_models().read().rows}

    assert [model.name for model in reader.registered_models().read().rows] == ["churn"]
    assert "churn" not in names


def test_a_real_registry_is_read_in_full(registry: Registry, reader: MlflowReader) -> None:
    name = "Ärger & \"Ruhe\" 100% 'x' 🙂"
    for number in range(3):
        registry.version(name, tags={"owner": f"ann {number}"}, description="" if number else "first\nline")
    registry.client.set_registered_model_alias(name, "champion", "2")
    registry.client.set_registered_model_tag(name, "team", "risk")

    models, versions_listing = reader.registered_models().read(), reader.model_versions().read()

    assert [(model.name, model.aliases, model.tags) for model in models.rows] == [
        (name, {"champion": 2}, {"team": "risk"})
    ]
    assert [(v.version_number, v.tags, v.description) for v in versions_listing.rows] == [
        (1, {"owner": "ann 0"}, "first\nline"),
        (2, {"owner": "ann 1"}, None),
        (3, {"owner": "ann 2"}, None),
    ]
    assert models.is_complete
    assert versions_listing.is_complete
    assert reader.model_version(name, 2) == versions_listing.rows[1]
    assert reader.registered_model(name) == models.rows[0]
    assert reader.traffic.requests == 7


def test_a_deleted_run_is_still_read(registry: Registry, reader: MlflowReader) -> None:
    active, deleted = registry.run(metrics={"auc": float("nan")}), registry.run(params={"depth": "3"})
    registry.client.delete_run(deleted)
    experiments = [experiment.experiment_id for experiment in reader.experiments().rows]

    runs = {run.run_id: run for run in reader.runs([active, deleted], experiments).rows}

    assert {run_id: run.lifecycle_stage for run_id, run in runs.items()} == {active: "active", deleted: "deleted"}
    assert str(runs[active].metrics) == "{'auc': nan}"
    assert runs[deleted].params == {"depth": "3"}
    assert reader.run(deleted) == runs[deleted]


def test_a_deleted_version_is_not_found(registry: Registry, reader: MlflowReader) -> None:
    registry.version("churn")
    registry.client.delete_model_version("churn", "1")

    with pytest.raises(NotFoundError):
        reader.model_version("churn", 1)


@pytest.mark.slow(seconds=15)
def test_a_workspace_setting_is_refused_by_a_real_server_without_workspaces(
    tmp_path: Path, mlflow_template: Path
) -> None:
    database = shutil.copyfile(mlflow_template, tmp_path / "mlflow.db")
    with MlflowServer(
        backend_uri=f"sqlite:///{database}",
        artifacts=tmp_path / "artifacts",
        log=tmp_path / "log",
        program=mlflow_process.PROGRAM,
    ) as server:
        with pytest.raises(RequestRejectedError, match="workspace: team-a would be ignored") as caught:
            MlflowReader(settings_for(server.uri, workspace="team-a"))
        MlflowClient(server.uri).create_registered_model("churn")

        with closing(MlflowReader(settings_for(server.uri))) as reader:
            names = [model.name for model in reader.registered_models().read().rows]

    assert "--enable-workspaces" in str(caught.value)
    assert names == ["churn"]


@pytest.mark.parametrize(("response", "error"), [(make_response("Permission denied", 403), ForbiddenError)])
def test_a_server_that_forbids_everything_is_reported_as_such(response: bytes, error: type[HttpError]) -> None:
    with hostile_server(lambda _server, _request: response) as server, pytest.raises(error):
        MlflowReader(settings_for(server.uri))
