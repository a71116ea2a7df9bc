from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from mlflow import MlflowClient
from mlflow.genai import register_prompt

from verifywise_mlflow.connector.change_probes import newest_updates
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    HttpError,
    InvalidResponseError,
    LimitExceededError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support import mlflow_process
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)
from verifywise_mlflow_tests.support.registry import Registry

IS_PROMPT = "mlflow.prompt.is_prompt"


def settings_for(uri: str, workspace: str | None = None) -> ConnectionSettings:
    return ConnectionSettings(
        uri,
        workspace=workspace,
        allow_private_network=True,
        limits=Limits(max_attempts=1, request_timeout_seconds=5, max_pages=20),
    )


class FakeListings:
    """A fake of MLflow's listings: a page for each path segment and page token."""

    def __init__(self, pages: dict[tuple[str, str], dict[str, object]]) -> None:
        self.pages = pages

    def __call__(self, _server: HostileServer, request: ReceivedRequest) -> bytes:
        url = urlsplit(request.target)
        if url.path == "/version":
            return make_response("3.17.2", content_type="text/plain")
        if url.path.endswith("server-info"):
            return json_response({"store_type": "SqlStore", "workspaces_enabled": False})
        query = parse_qs(url.query)
        if "filter" in query:
            return json_response({})
        token = query.get("page_token", [""])[0] or json.loads(request.body or b"{}").get("page_token", "")
        return json_response(self.pages.get((url.path.split("/")[-2], token), {}))


@contextmanager
def open_reader(pages: dict[tuple[str, str], dict[str, object]]) -> Iterator[tuple[MlflowReader, HostileServer]]:
    with hostile_server(FakeListings(pages)) as server, closing(MlflowReader(settings_for(server.uri))) as reader:
        yield reader, server


def versions(*numbers: int) -> list[dict[str, object]]:
    return [{"name": "m", "version": str(number), "source": "s3://b"} for number in numbers]


def test_an_empty_page_with_a_token_is_not_the_end() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("model-versions", ""): {"model_versions": versions(1), "next_page_token": "a"},
        ("model-versions", "a"): {"next_page_token": "b"},
        ("model-versions", "b"): {"model_versions": [], "next_page_token": "c"},
        ("model-versions", "c"): {"model_versions": versions(2)},
    }

    with open_reader(pages) as (reader, _):
        listing = reader.model_versions().read()

    assert [version.version_number for version in listing.rows] == [1, 2]
    assert listing.is_complete


@pytest.mark.parametrize("following", ["a", "b"])
def test_a_listing_whose_tokens_repeat_is_an_error(following: str) -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("model-versions", ""): {"next_page_token": "a"},
        ("model-versions", "a"): {"next_page_token": "b"},
        ("model-versions", "b"): {"next_page_token": following},
    }

    with open_reader(pages) as (reader, _), pytest.raises(InvalidResponseError, match="would never end"):
        reader.model_versions().read()


@pytest.mark.parametrize("token", [3, True, ["a"], {"offset": 3}])
def test_a_token_that_is_not_text_is_an_error(token: object) -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {("experiments", ""): {"next_page_token": token}}

    with open_reader(pages) as (reader, _), pytest.raises(InvalidResponseError, match="has a page token of type"):
        reader.experiments()


def test_a_token_with_a_lone_surrogate_is_sent_back() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {("model-versions", ""): {"next_page_token": "\ud800"}}

    with open_reader(pages) as (reader, _):
        assert reader.model_versions().read().rows == ()


def test_an_endless_listing_is_bounded() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("experiments", str(page) if page else ""): {"next_page_token": str(page + 1)} for page in range(100)
    }

    with open_reader(pages) as (reader, server):
        with pytest.raises(LimitExceededError, match=r"20 pages allowed here \(max_pages\)"):
            reader.experiments()

        assert len(server.requests) == 2 + 20


def test_both_listings_request_a_stable_order() -> None:
    with open_reader({}) as (reader, server):
        reader.registered_models().read()
        reader.model_versions().read()

    urls = [urlsplit(request.target) for request in server.requests if "search" in request.target]
    orders = {url.path.split("/")[-2]: parse_qs(url.query)["order_by"] for url in urls}
    assert orders == {"registered-models": ["name ASC"], "model-versions": ["name ASC", "version_number ASC"]}
    assert all("order_by" in parse_qs(url.query) for url in urls)


def test_an_unusable_row_makes_a_listing_incomplete() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("model-versions", ""): {"model_versions": [*versions(1), {"name": "m"}]}
    }

    with open_reader(pages) as (reader, _):
        listing = reader.model_versions().read()

    assert len(listing.rows) == 1
    assert not listing.is_complete


def test_a_search_without_possible_results_is_not_sent() -> None:
    with open_reader({}) as (reader, server):
        requests_before = len(server.requests)

        assert reader.runs(["r1"], []).rows == ()
        assert reader.runs(["it's no id"], ["1"]).rows == ()
        assert reader.logged_models([], ["1"]).rows == ()

        assert len(server.requests) == requests_before


def test_a_gateway_that_refuses_the_version_endpoint_does_not_prevent_reading() -> None:
    def script(server: HostileServer, request: ReceivedRequest) -> bytes:
        if request.target == "/version":
            return make_response("no", 403, "text/plain")
        return FakeListings({("model-versions", ""): {"model_versions": versions(1)}})(server, request)

    with hostile_server(script) as server, closing(MlflowReader(settings_for(server.uri))) as reader:
        assert reader.server.version is None
        assert len(reader.model_versions().read().rows) == 1


def test_an_older_server_that_would_ignore_a_workspace_is_refused() -> None:
    def script(_server: HostileServer, _request: ReceivedRequest) -> bytes:
        return make_response("<html>not found</html>", 404, "text/html")

    with hostile_server(script) as server, pytest.raises(RequestRejectedError, match="the server has no workspaces"):
        MlflowReader(settings_for(server.uri, workspace="team-a"))


# -- on a real MLflow server


@pytest.fixture
def reader(tenant: Tenant) -> Iterator[MlflowReader]:
    with closing(MlflowReader(connection_settings(tenant))) as reader:
        yield reader


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


def test_a_prompt_is_not_listed_as_a_model(registry: Registry, reader: MlflowReader) -> None:
    register_prompt("greeting", "Hello {{name}}")
    registry.version("churn")

    assert [model.name for model in reader.registered_models().read().rows] == ["churn"]
    assert [version.model_name for version in reader.model_versions().read().rows] == ["churn"]


def listed(reader: MlflowReader) -> tuple[list[tuple[str, bool]], list[tuple[int, bool]]]:
    models, versions_listing = reader.registered_models().read(), reader.model_versions().read()
    assert models.is_complete
    assert versions_listing.is_complete
    return (
        [(model.name, model.hidden_from_search) for model in models.rows],
        [(version.version_number, version.hidden_from_search) for version in versions_listing.rows],
    )


def test_the_prompt_tag_on_one_version_hides_no_version(registry: Registry, reader: MlflowReader) -> None:
    for _ in range(3):
        registry.version("churn")
    registry.client.set_model_version_tag("churn", "2", IS_PROMPT, "true")
    searched = registry.client.search_model_versions("name = 'churn'")

    models, versions_found = listed(reader)

    assert searched == [], "MLflow's own search returns no version of the model"
    assert models == [("churn", False)]
    assert versions_found == [(1, True), (2, True), (3, True)]


def test_versions_are_still_found_after_the_tagged_one_is_deleted(
    mlflow_uri: str, workspace: str, registry: Registry, reader: MlflowReader
) -> None:
    for _ in range(3):
        registry.version("churn")
    registry.client.set_model_version_tag("churn", "2", IS_PROMPT, "true")
    # MLflow's client no longer finds a model in it, so the request is sent over REST, as any user could.
    deleted = urllib3.request(
        "DELETE",
        f"{mlflow_uri}/api/2.0/mlflow/model-versions/delete",
        json={"name": "churn", "version": "2"},
        headers={"X-MLFLOW-WORKSPACE": workspace},
    )

    models, versions_found = listed(reader)

    assert deleted.status == 200
    assert models == [("churn", False)]
    assert versions_found == [(1, True), (3, True)]


def test_the_prompt_tag_on_a_model_does_not_hide_the_model(registry: Registry, reader: MlflowReader) -> None:
    registry.version("churn")
    registry.version("fraud")
    registry.client.set_registered_model_tag("churn", IS_PROMPT, "true")

    models, versions_found = listed(reader)

    assert models == [("fraud", False), ("churn", True)]
    assert versions_found == [(1, False), (1, False)]


def test_the_prompt_tag_on_model_and_version_hides_neither(registry: Registry, reader: MlflowReader) -> None:
    registry.version("churn")
    registry.version("churn")
    registry.client.set_model_version_tag("churn", "1", IS_PROMPT, "true")
    registry.client.set_registered_model_tag("churn", IS_PROMPT, "true")

    assert listed(reader) == ([("churn", True)], [(1, True), (2, True)])


def test_the_newest_version_timestamp_changes_for_a_new_version_and_not_for_a_tag(
    registry: Registry, tenant: Tenant
) -> None:
    settings = connection_settings(tenant)
    empty = newest_updates(settings).version
    registry.version("churn")
    first = newest_updates(settings).version
    registry.client.set_model_version_tag("churn", "1", "owner", "ann")
    tagged = newest_updates(settings).version
    registry.client.update_model_version("churn", "1", "new description")

    assert empty is None
    assert first is not None
    assert tagged == first
    assert (newest_updates(settings).version or 0) > first


def test_the_newest_updates_are_read_of_a_version_with_a_long_tag_and_of_a_prompt_with_a_long_text(
    registry: Registry, tenant: Tenant
) -> None:
    registry.version("churn", tags={"notes": "x" * 90_000})
    registry.client.register_prompt("summary", "x" * 90_000)

    newest = newest_updates(connection_settings(tenant), with_prompts=True)

    assert None not in (newest.version, newest.prompt)


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


def test_forbidden_point_reads_do_not_hide_readable_hidden_versions() -> None:
    def script(_server: HostileServer, request: ReceivedRequest) -> bytes:
        query = parse_qs(urlsplit(request.target).query)
        if request.target.startswith("/api/2.0/mlflow/registered-models/search") and "filter" not in query:
            return json_response({"registered_models": [{"name": "m", "latest_versions": versions(3)}]})
        if "model-versions/get" in request.target:
            number = int(query["version"][0])
            return (
                make_response("Permission denied", 403)
                if number == 2
                else json_response({"model_version": versions(number)[0]})
            )
        return json_response({})

    with hostile_server(script) as server, closing(MlflowReader(settings_for(server.uri))) as reader:
        listing = reader.model_versions().read()

    assert [version.version_number for version in listing.rows] == [1, 3]
    assert listing.is_complete


@pytest.mark.parametrize(("response", "error"), [(make_response("Permission denied", 403), ForbiddenError)])
def test_a_server_that_forbids_everything_is_reported_as_such(response: bytes, error: type[HttpError]) -> None:
    with hostile_server(lambda _server, _request: response) as server, pytest.raises(error):
        MlflowReader(settings_for(server.uri))
