"""Prompts share the models' tables since MLflow 2.21: they are no models, and no model hides among them."""

from __future__ import annotations

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import on, since
from verifywise_mlflow_tests.compat.registry import SharedRegistry
from verifywise_mlflow_tests.compat.server import IS_PROMPT, CompatServer
from verifywise_mlflow_tests.pipeline.syncing import rows, sync


def listed(reader: MlflowReader) -> tuple[list[tuple[str, bool]], list[tuple[str, int, bool]]]:
    models, found = reader.registered_models(), reader.model_versions()
    assert models.is_complete
    assert found.is_complete
    return (
        [(model.name, model.hidden_from_search) for model in models.rows],
        [(version.model_name, version.version_number, version.hidden_from_search) for version in found.rows],
    )


@on(since("2.21"))
def test_a_prompt_is_no_model(registry: SharedRegistry, reader: MlflowReader) -> None:
    registry.client.register_prompt("greeting", "Hello {{name}}")
    registry.client.register_prompt("greeting", "Dear {{name}}")
    registry.version("churn")

    assert listed(reader) == ([("churn", False)], [("churn", 1, False)])


@on(since("2.21"))
def test_the_prompt_tag_on_one_version_hides_none_of_them(
    server: CompatServer, registry: SharedRegistry, reader: MlflowReader
) -> None:
    for _ in range(3):
        registry.version("churn")
    registry.client.set_model_version_tag("churn", "2", IS_PROMPT, "true")
    shown = server.send("GET", "model-versions/search", {})

    assert shown == {}, "MLflow's own search shows no version of the model"
    assert listed(reader) == ([("churn", False)], [("churn", 1, True), ("churn", 2, True), ("churn", 3, True)])


@on(since("2.21"))
def test_the_prompt_tag_on_a_model_hides_neither_it_nor_its_versions(
    registry: SharedRegistry, reader: MlflowReader
) -> None:
    registry.version("churn")
    registry.version("fraud")
    registry.client.set_registered_model_tag("churn", IS_PROMPT, "true")

    models, versions = listed(reader)

    assert models == [("fraud", False), ("churn", True)]
    assert [(name, number) for name, number, _ in versions] == [("churn", 1), ("fraud", 1)]


@on(since("2.21"))
def test_versions_stay_found_after_the_one_that_hid_them_is_deleted(
    server: CompatServer, registry: SharedRegistry, reader: MlflowReader
) -> None:
    for _ in range(3):
        registry.version("churn")
    registry.client.set_model_version_tag("churn", "2", IS_PROMPT, "true")
    server.send("DELETE", "model-versions/delete", {"name": "churn", "version": "2"})

    models, versions = listed(reader)

    assert models == [("churn", False)]
    assert [number for _, number, _ in versions] == [1, 3]


def test_hiding_is_a_finding_where_the_tag_hides(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    registry.client.set_model_version_tag("churn", "1", IS_PROMPT, "true")
    registry.client.set_registered_model_tag("churn", IS_PROMPT, "true")
    is_hidden = server.send("GET", "registered-models/search", {}) == {}

    sync(tenant, store)

    (kept,) = rows(store, "canonical_records")
    assert kept["metrics"] == {"accuracy": 0.93}
    assert ("a prompt tag hides this version" in str(kept["findings"])) == is_hidden
    assert is_hidden == (server.version != "2.9.2")
