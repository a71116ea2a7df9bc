from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from mlflow import MlflowClient
from mlflow.genai import register_prompt

from verifywise_mlflow.connector.change_probes import newest_version_timestamp
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
from verifywise_mlflow_tests.http.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)
from verifywise_mlflow_tests.registry import Registry

IS_PROMPT = "mlflow.prompt.is_prompt"


def settings_for(uri: str, workspace: str | None = None) -> ConnectionSettings:
    return ConnectionSettings(
        uri,
        workspace=workspace,
        allow_private_network=True,
        limits=Limits(max_attempts=1, request_timeout_seconds=5, max_pages=20),
    )


class Pages:
    """An imitation of MLflow's listings: the rows of each page, by the path's last parts and the token."""

    def __init__(self, pages: dict[tuple[str, str], dict[str, object]]) -> None:
        self.pages = pages

    def __call__(self, _server: HostileServer, asked: ReceivedRequest) -> bytes:
        url = urlsplit(asked.target)
        if url.path == "/version":
            return make_response("3.17.2", content_type="text/plain")
        if url.path.endswith("server-info"):
            return json_response({"store_type": "SqlStore", "workspaces_enabled": False})
        question = parse_qs(url.query)
        if "filter" in question:
            return json_response({})
        token = question.get("page_token", [""])[0] or json.loads(asked.body or b"{}").get("page_token", "")
        return json_response(self.pages.get((url.path.split("/")[-2], token), {}))


@contextmanager
def reader_of(pages: dict[tuple[str, str], dict[str, object]]) -> Iterator[tuple[MlflowReader, HostileServer]]:
    with hostile_server(Pages(pages)) as server, closing(MlflowReader(settings_for(server.uri))) as reader:
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

    with reader_of(pages) as (reader, _):
        listing = reader.model_versions()

    assert [version.version_number for version in listing.rows] == [1, 2]
    assert listing.is_complete


@pytest.mark.parametrize("following", ["a", "b"])
def test_a_listing_that_comes_back_to_a_page_ends_with_an_error(following: str) -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("model-versions", ""): {"next_page_token": "a"},
        ("model-versions", "a"): {"next_page_token": "b"},
        ("model-versions", "b"): {"next_page_token": following},
    }

    with reader_of(pages) as (reader, _), pytest.raises(InvalidResponseError, match="would never end"):
        reader.model_versions()


@pytest.mark.parametrize("token", [3, True, ["a"], {"offset": 3}])
def test_a_token_that_is_no_text_does_not_make_a_part_of_a_listing_look_like_all(token: object) -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {("experiments", ""): {"next_page_token": token}}

    with reader_of(pages) as (reader, _), pytest.raises(InvalidResponseError, match="goes on with a token"):
        reader.experiments()


def test_a_token_with_a_lone_surrogate_raises_nothing_strange() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {("model-versions", ""): {"next_page_token": "\ud800"}}

    with reader_of(pages) as (reader, _):
        assert reader.model_versions().rows == ()


def test_a_listing_without_end_is_bounded() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("experiments", str(page) if page else ""): {"next_page_token": str(page + 1)} for page in range(100)
    }

    with reader_of(pages) as (reader, server):
        with pytest.raises(LimitExceededError, match="pages=20"):
            reader.experiments()

        assert len(server.requests) == 2 + 20


def test_both_listings_ask_for_a_stable_order() -> None:
    with reader_of({}) as (reader, server):
        reader.registered_models()
        reader.model_versions()

    asked = [urlsplit(request.target) for request in server.requests if "search" in request.target]
    orders = {url.path.split("/")[-2]: parse_qs(url.query)["order_by"] for url in asked}
    assert orders == {"registered-models": ["name ASC"], "model-versions": ["name ASC", "version_number ASC"]}
    assert all("order_by" in parse_qs(url.query) for url in asked)


def test_a_row_that_is_none_leaves_a_listing_incomplete() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("model-versions", ""): {"model_versions": [*versions(1), {"name": "m"}]}
    }

    with reader_of(pages) as (reader, _):
        listing = reader.model_versions()

    assert len(listing.rows) == 1
    assert not listing.is_complete


def test_a_search_that_could_find_nothing_is_not_sent() -> None:
    with reader_of({}) as (reader, server):
        before = len(server.requests)

        assert reader.runs(["r1"], []).rows == ()
        assert reader.runs(["it's no id"], ["1"]).rows == ()
        assert reader.logged_models([], ["1"]).rows == ()

        assert len(server.requests) == before


def test_a_gateway_that_keeps_the_version_to_itself_does_not_keep_the_registry_from_us() -> None:
    def script(server: HostileServer, asked: ReceivedRequest) -> bytes:
        if asked.target == "/version":
            return make_response("no", 403, "text/plain")
        return Pages({("model-versions", ""): {"model_versions": versions(1)}})(server, asked)

    with hostile_server(script) as server, closing(MlflowReader(settings_for(server.uri))) as reader:
        assert reader.server.version is None
        assert len(reader.model_versions().rows) == 1


def test_an_older_server_that_would_ignore_a_workspace_is_refused() -> None:
    def script(_server: HostileServer, _asked: ReceivedRequest) -> bytes:
        return make_response("<html>not found</html>", 404, "text/html")

    with hostile_server(script) as server, pytest.raises(RequestRejectedError, match="keeps no workspaces"):
        MlflowReader(settings_for(server.uri, workspace="team-a"))


# -- what a real MLflow does


@pytest.fixture
def reader(tenant: Tenant) -> Iterator[MlflowReader]:
    with closing(MlflowReader(connection_settings(tenant))) as reader:
        yield reader


def test_a_real_server_tells_its_version_and_kind(reader: MlflowReader) -> None:
    assert reader.server.version is not None
    assert reader.server.version.startswith("3.17")
    assert (reader.server.store_type, reader.server.has_workspaces) == ("SqlStore", True)
    assert reader.traffic.requests == 2


def test_a_workspace_that_is_not_there_is_an_error_that_names_it(tenant: Tenant) -> None:
    settings = connection_settings(tenant.model_copy(update={"workspace": "nobodys"}))

    with closing(MlflowReader(settings)) as reader, pytest.raises(NotFoundError, match="nobodys"):
        reader.registered_models()


def test_a_workspace_sees_nothing_of_another(mlflow_uri: str, registry: Registry, reader: MlflowReader) -> None:
    registry.version("churn")

    with closing(MlflowReader(settings_for(mlflow_uri))) as of_default:
        names = {model.name for model in of_default.registered_models().rows}

    assert [model.name for model in reader.registered_models().rows] == ["churn"]
    assert "churn" not in names


def test_a_real_registry_is_read_in_full(registry: Registry, reader: MlflowReader) -> None:
    name = "Ärger & \"Ruhe\" 100% 'x' 🙂"
    for number in range(3):
        registry.version(name, tags={"owner": f"ann {number}"}, description="" if number else "first\nline")
    registry.client.set_registered_model_alias(name, "champion", "2")
    registry.client.set_registered_model_tag(name, "team", "risk")

    models, found = reader.registered_models(), reader.model_versions()

    assert [(model.name, model.aliases, model.tags) for model in models.rows] == [
        (name, {"champion": 2}, {"team": "risk"})
    ]
    assert [(v.version_number, v.tags, v.description) for v in found.rows] == [
        (1, {"owner": "ann 0"}, "first\nline"),
        (2, {"owner": "ann 1"}, None),
        (3, {"owner": "ann 2"}, None),
    ]
    assert models.is_complete
    assert found.is_complete
    assert reader.model_version(name, 2) == found.rows[1]
    assert reader.registered_model(name) == models.rows[0]
    assert reader.traffic.requests == 7


def test_a_run_that_is_deleted_is_still_read(registry: Registry, reader: MlflowReader) -> None:
    kept, deleted = registry.run(metrics={"auc": float("nan")}), registry.run(params={"depth": "3"})
    registry.client.delete_run(deleted)
    experiments = [experiment.experiment_id for experiment in reader.experiments().rows]

    runs = {run.run_id: run for run in reader.runs([kept, deleted], experiments).rows}

    assert {run_id: run.lifecycle_stage for run_id, run in runs.items()} == {kept: "active", deleted: "deleted"}
    assert str(runs[kept].metrics) == "{'auc': nan}"
    assert runs[deleted].params == {"depth": "3"}
    assert reader.run(deleted) == runs[deleted]


def test_a_version_that_is_gone_is_not_found(registry: Registry, reader: MlflowReader) -> None:
    registry.version("churn")
    registry.client.delete_model_version("churn", "1")

    with pytest.raises(NotFoundError):
        reader.model_version("churn", 1)


def test_a_prompt_is_no_model(registry: Registry, reader: MlflowReader) -> None:
    register_prompt("greeting", "Hello {{name}}")
    registry.version("churn")

    assert [model.name for model in reader.registered_models().rows] == ["churn"]
    assert [version.model_name for version in reader.model_versions().rows] == ["churn"]


def listed(reader: MlflowReader) -> tuple[list[tuple[str, bool]], list[tuple[int, bool]]]:
    models, found = reader.registered_models(), reader.model_versions()
    assert models.is_complete
    assert found.is_complete
    return (
        [(model.name, model.hidden_from_search) for model in models.rows],
        [(version.version_number, version.hidden_from_search) for version in found.rows],
    )


def test_the_prompt_tag_on_one_version_hides_none_of_them(registry: Registry, reader: MlflowReader) -> None:
    for _ in range(3):
        registry.version("churn")
    registry.client.set_model_version_tag("churn", "2", IS_PROMPT, "true")
    shown = registry.client.search_model_versions("name = 'churn'")

    models, found = listed(reader)

    assert shown == [], "MLflow's own search shows no version of the model"
    assert models == [("churn", False)]
    assert found == [(1, True), (2, True), (3, True)]


def test_versions_stay_found_after_the_one_that_hid_them_is_deleted(
    mlflow_uri: str, workspace: str, registry: Registry, reader: MlflowReader
) -> None:
    for _ in range(3):
        registry.version("churn")
    registry.client.set_model_version_tag("churn", "2", IS_PROMPT, "true")
    # MLflow's client no longer finds a model in it, so the call goes over REST, as anybody could send it.
    deleted = urllib3.request(
        "DELETE",
        f"{mlflow_uri}/api/2.0/mlflow/model-versions/delete",
        json={"name": "churn", "version": "2"},
        headers={"X-MLFLOW-WORKSPACE": workspace},
    )

    models, found = listed(reader)

    assert deleted.status == 200
    assert models == [("churn", False)]
    assert found == [(1, True), (3, True)]


def test_the_prompt_tag_on_a_model_does_not_hide_it(registry: Registry, reader: MlflowReader) -> None:
    registry.version("churn")
    registry.version("fraud")
    registry.client.set_registered_model_tag("churn", IS_PROMPT, "true")

    models, found = listed(reader)

    assert models == [("fraud", False), ("churn", True)]
    assert found == [(1, False), (1, False)]


def test_the_prompt_tag_on_both_hides_neither(registry: Registry, reader: MlflowReader) -> None:
    registry.version("churn")
    registry.version("churn")
    registry.client.set_model_version_tag("churn", "1", IS_PROMPT, "true")
    registry.client.set_registered_model_tag("churn", IS_PROMPT, "true")

    assert listed(reader) == ([("churn", True)], [(1, True), (2, True)])


def test_the_poll_moves_with_a_new_version_and_not_with_a_tag(registry: Registry, tenant: Tenant) -> None:
    settings = connection_settings(tenant)
    empty = newest_version_timestamp(settings)
    registry.version("churn")
    first = newest_version_timestamp(settings)
    registry.client.set_model_version_tag("churn", "1", "owner", "ann")
    tagged = newest_version_timestamp(settings)
    registry.client.update_model_version("churn", "1", "new words")

    assert empty is None
    assert first is not None
    assert tagged == first
    assert (newest_version_timestamp(settings) or 0) > first


def test_a_workspace_on_a_real_server_that_keeps_none_is_refused(tmp_path: Path) -> None:
    with MlflowServer(
        backend_uri=f"sqlite:///{tmp_path}/m.db", artifacts=tmp_path / "artifacts", log=tmp_path / "log"
    ) as server:
        with pytest.raises(RequestRejectedError, match="workspace: team-a would be ignored") as caught:
            MlflowReader(settings_for(server.uri, workspace="team-a"))
        MlflowClient(server.uri).create_registered_model("churn")

        with closing(MlflowReader(settings_for(server.uri))) as reader:
            names = [model.name for model in reader.registered_models().rows]

    assert "--enable-workspaces" in str(caught.value)
    assert names == ["churn"]


def test_forbidden_point_reads_leave_the_hidden_versions_that_can_be_read() -> None:
    def script(_server: HostileServer, asked: ReceivedRequest) -> bytes:
        question = parse_qs(urlsplit(asked.target).query)
        if asked.target.startswith("/api/2.0/mlflow/registered-models/search") and "filter" not in question:
            return json_response({"registered_models": [{"name": "m", "latest_versions": versions(3)}]})
        if "model-versions/get" in asked.target:
            number = int(question["version"][0])
            return (
                make_response("Permission denied", 403)
                if number == 2
                else json_response({"model_version": versions(number)[0]})
            )
        return json_response({})

    with hostile_server(script) as server, closing(MlflowReader(settings_for(server.uri))) as reader:
        listing = reader.model_versions()

    assert [version.version_number for version in listing.rows] == [1, 3]
    assert listing.is_complete


@pytest.mark.parametrize(("sent", "error"), [(make_response("Permission denied", 403), ForbiddenError)])
def test_a_server_that_forbids_everything_is_told_as_that(sent: bytes, error: type[HttpError]) -> None:
    with hostile_server(lambda _server, _asked: sent) as server, pytest.raises(error):
        MlflowReader(settings_for(server.uri))
