"""A sync probes what each MLflow release offers for generative applications; a missing feature is not a failure."""

from __future__ import annotations

import hashlib
from uuid import uuid4

import pytest
from packaging.version import Version

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.services.connection_check import check_connection
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import environments_before, environments_since, on_servers
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.compat.shared_registry import SharedRegistry

TEXT = "Hello {{name}}"


@on_servers(environments_since("2.21"))
def test_prompts_are_read_by_the_searches_that_find_hidden_models(
    registry: SharedRegistry, reader: MlflowReader
) -> None:
    registry.client.register_prompt("greeting", TEXT, commit_message="first", tags={"team": "care"})
    registry.client.register_prompt("greeting", "Dear {{name}}")
    registry.client.set_prompt_alias("greeting", "production", 1)
    registry.version("churn")
    reader.registered_models().read()
    reader.model_versions().read()
    before = reader.traffic.requests

    (prompt,), (first, second) = reader.prompts().rows, reader.prompt_versions().rows

    assert reader.traffic.requests == before
    assert (prompt.name, prompt.aliases) == ("greeting", {"production": 1})
    assert first.template_sha256 == hashlib.sha256(TEXT.encode()).hexdigest()
    assert (first.variables, first.commit_message, first.tags) == (("name",), "first", {"team": "care"})
    assert second == reader.prompt_version("greeting", 2)


def test_the_check_says_what_the_release_offers(server: CompatServer, registry: SharedRegistry, tenant: Tenant) -> None:
    release = Version(server.version)
    registry.run()
    registry.version("churn")
    if release >= Version("2.21"):
        registry.client.register_prompt("greeting", TEXT)

    found = {result.subject: result for result in check_connection(tenant).results}

    assert found["prompts"].outcome == ("readable" if release >= Version("2.21") else "nothing there")
    assert found["evaluation data sets"].outcome == found["traces"].outcome == "nothing there"
    assert ("does not offer" in found["agents"].detail) == (release < Version("3"))
    is_offered = release >= Version("3.17")
    assert ("does not offer" in found["evaluation data sets"].detail) == (not is_offered)
    assert ("cannot count" in found["traces"].detail) == (not is_offered)


@on_servers(environments_since("3.1"))
def test_agents_are_listed_by_their_type_and_page_by_page(
    registry: SharedRegistry, reader: MlflowReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifywise_mlflow.connector.tracking_reader.LOGGED_MODELS_PAGE_SIZE", 2)
    experiment = registry.client.create_experiment(f"agents-{uuid4().hex}")
    types = ("agent", "agent", "classifier", "Agent", "agent", "", "agent")
    created = [registry.client.create_logged_model(experiment, model_type=kind).model_id for kind in types]
    before = reader.traffic.requests

    listing = reader.agents([experiment])

    assert listing is not None
    assert listing.is_complete
    assert [agent.model_id for agent in listing.rows] == [
        model_id for model_id, kind in zip(created, types, strict=True) if kind.casefold() == "agent"
    ]
    assert reader.traffic.requests - before == 4, "pages overlap by a row, and none is read twice"


@on_servers(environments_before("3"))
def test_a_release_without_logged_models_offers_no_agents(reader: MlflowReader) -> None:
    assert reader.agents(["0"]) is None
