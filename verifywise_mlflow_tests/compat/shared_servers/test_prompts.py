"""Prompts share the models' tables since MLflow 2.21. They are not listed as models, and hidden models are found."""

from __future__ import annotations

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import environments_since, on_servers
from verifywise_mlflow_tests.compat.server import IS_PROMPT, CompatServer
from verifywise_mlflow_tests.compat.shared_registry import SharedRegistry
from verifywise_mlflow_tests.support.syncing import rows, sync


def list_registry(reader: MlflowReader) -> tuple[list[tuple[str, bool]], list[tuple[str, int, bool]]]:
    models, versions = reader.registered_models().read(), reader.model_versions().read()
    assert models.is_complete
    assert versions.is_complete
    return (
        [(model.name, model.hidden_from_search) for model in models.rows],
        [(version.model_name, version.version_number, version.hidden_from_search) for version in versions.rows],
    )


@on_servers(environments_since("2.21"))
def test_a_prompt_is_not_listed_as_a_model(registry: SharedRegistry, reader: MlflowReader) -> None:
    registry.client.register_prompt("greeting", "Hello {{name}}")
    registry.client.register_prompt("greeting", "Dear {{name}}")
    registry.version("churn")

    assert list_registry(reader) == ([("churn", False)], [("churn", 1, False)])


@on_servers(environments_since("2.21"))
def test_the_prompt_tag_on_one_version_hides_no_version(
    server: CompatServer, registry: SharedRegistry, reader: MlflowReader
) -> None:
    for _ in range(3):
        registry.version("churn")
    registry.client.set_model_version_tag("churn", "2", IS_PROMPT, "true")
    searched = server.send("GET", "model-versions/search", {})

    assert searched == {}, "MLflow's own search returns no version of the model"
    assert list_registry(reader) == ([("churn", False)], [("churn", 1, True), ("churn", 2, True), ("churn", 3, True)])


@on_servers(environments_since("2.21"))
def test_the_prompt_tag_on_a_model_hides_neither_model_nor_versions(
    registry: SharedRegistry, reader: MlflowReader
) -> None:
    registry.version("churn")
    registry.version("fraud")
    registry.client.set_registered_model_tag("churn", IS_PROMPT, "true")

    models, versions = list_registry(reader)

    assert models == [("fraud", False), ("churn", True)]
    assert [(name, number) for name, number, _ in versions] == [("churn", 1), ("fraud", 1)]


@on_servers(environments_since("2.21"))
def test_versions_are_still_found_after_the_tagged_one_is_deleted(
    server: CompatServer, registry: SharedRegistry, reader: MlflowReader
) -> None:
    for _ in range(3):
        registry.version("churn")
    registry.client.set_model_version_tag("churn", "2", IS_PROMPT, "true")
    server.send("DELETE", "model-versions/delete", {"name": "churn", "version": "2"})

    models, versions = list_registry(reader)

    assert models == [("churn", False)]
    assert [number for _, number, _ in versions] == [1, 3]


def test_a_hidden_version_is_reported_where_the_tag_hides(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    registry.client.set_model_version_tag("churn", "1", IS_PROMPT, "true")
    registry.client.set_registered_model_tag("churn", IS_PROMPT, "true")
    is_hidden = server.send("GET", "registered-models/search", {}) == {}

    sync(tenant, store)

    (row,) = rows(store, "canonical_records")
    assert row["metrics"] == {"accuracy": 0.93}
    assert ("a prompt tag hides this version" in str(row["findings"])) == is_hidden
    assert is_hidden == (server.version != "2.9.2")
