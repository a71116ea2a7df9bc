"""The prompt tag hides models and versions from MLflow's own searches, but not from the reader."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import urllib3
from mlflow.genai import register_prompt

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow_tests.connector.readers import settings_for, versions
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)
from verifywise_mlflow_tests.support.registry import Registry

IS_PROMPT = "mlflow.prompt.is_prompt"


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
    # MLflow's client no longer treats this object as a model, so the request is sent over REST, as any user could.
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
