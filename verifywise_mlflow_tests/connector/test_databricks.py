"""Both registries of Databricks are read completely, from a fake that replays responses in the documented form.

No live workspace was used.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from verifywise_mlflow.connector.databricks.reader import DatabricksReader, RegistryKind
from verifywise_mlflow.http.errors import InvalidSettingsError, LimitExceededError
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow_tests.connector.databricks_workspace import (
    UC_MODELS,
    Workspace,
    open_databricks_reader,
    requests_to,
    uc_row,
)

SPECIAL_NAME = "main.r&d;v=2.größe-100%?x=1#'y'"


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.from_recordings("workspace_registry", "unity_catalog", "tracking")


@pytest.mark.parametrize("registry", ["workspace", "unity_catalog"])
def test_opening_sends_no_request_and_each_request_carries_the_token(
    workspace: Workspace, registry: RegistryKind
) -> None:
    with open_databricks_reader(workspace, registry) as (reader, server):
        assert reader.traffic.requests == 0
        assert (reader.server.version, reader.server.store_type) == (None, f"databricks {registry}")

        reader.experiments()

        assert [request.headers["authorization"] for request in server.requests] == ["Bearer dapi-secret"]


def test_settings_that_do_not_apply_to_databricks_are_refused() -> None:
    with pytest.raises(InvalidSettingsError, match="workspace:"):
        DatabricksReader(ConnectionSettings("https://dbc.example", workspace="team-a"), "unity_catalog")
    with pytest.raises(InvalidSettingsError, match="catalogs:"):
        DatabricksReader(ConnectionSettings("https://dbc.example"), "workspace", ["main"])


def test_a_workspace_registry_is_read_in_full(workspace: Workspace) -> None:
    with open_databricks_reader(workspace, "workspace") as (reader, server):
        models, versions = reader.registered_models().read(), reader.model_versions().read()

        assert models.is_complete
        assert versions.is_complete
        assert [(model.name, model.tags, model.aliases) for model in models.rows] == [
            ("churn", {"owner": "retention"}, {}),
            ("fraud", {}, {}),
        ]
        assert [(v.model_name, v.version_number, v.stage, v.run_id, v.status) for v in versions.rows] == [
            ("churn", 1, "Archived", "run-a", "READY"),
            ("churn", 2, "Production", "run-b", "READY"),
            ("fraud", 1, None, None, "FAILED_REGISTRATION"),
        ]
        assert reader.registered_model("churn") == models.rows[0]
        assert reader.model_version("churn", 2) == versions.rows[1]
        assert all("filter" not in request.query for request in requests_to(server, "search"))


def test_requests_to_a_workspace_registry_stay_within_documented_limits(workspace: Workspace) -> None:
    with open_databricks_reader(workspace, "workspace") as (reader, server):
        reader.registered_models().read()
        reader.model_versions().read()

        queries = {request.path.split("/")[-2]: request.query for request in requests_to(server, "search")}
        assert (queries["registered-models"]["max_results"], queries["registered-models"]["order_by"]) == (
            "1000",
            "name ASC",
        )
        assert (queries["model-versions"]["max_results"], queries["model-versions"]["order_by"]) == (
            "10000",
            ["name ASC", "version ASC"],
        )


def test_a_unity_catalog_is_read_in_full(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, _):
        models, versions = reader.registered_models().read(), reader.model_versions().read()

        assert models.is_complete
        assert versions.is_complete
        assert [model.name for model in models.rows] == ["main.retail.churn", SPECIAL_NAME, "sandbox.default.scoring"]
        churn, (first, second) = models.rows[0], versions.rows
        assert (churn.aliases, churn.tags) == ({"champion": 1, "challenger": 2}, {"owner": "retention", "pii": ""})
        assert churn.created_at == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)
        assert (first.model_name, first.version_number, first.tags) == (churn.name, 1, {"approved_by": "cy"})
        assert (first.stage, first.deployment_job_state) == (None, "APPROVAL")
        assert (second.status, second.status_message) == ("PENDING_REGISTRATION", "the files are being copied")
        assert reader.registered_model(churn.name) == churn
        assert reader.model_version(churn.name, 2) == second


def test_reading_a_unity_catalog_sends_two_requests_a_model_and_one_a_version(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, server):
        reader.registered_models().read()
        reader.model_versions().read()

        assert len(requests_to(server, "unity-catalog/models")) == 2 * 3, (
            "three pages, read twice: the tokens are opaque"
        )
        assert len(requests_to(server, "/versions")) == 3
        assert len(requests_to(server, "/get")) == 3 + 2
        assert reader.traffic.requests == 14


def test_every_listing_request_has_a_page_size(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, server):
        reader.model_versions().read()

        listings = requests_to(server, "/models") + requests_to(server, "/versions")
        assert {request.query["max_results"] for request in listings} == {"1000"}


def test_only_configured_catalogs_are_read(workspace: Workspace) -> None:
    with open_databricks_reader(workspace, catalogs=("Sandbox",)) as (reader, server):
        models, versions = reader.registered_models().read(), reader.model_versions().read()

        assert [model.name for model in models.rows] == ["sandbox.default.scoring"]
        assert versions.rows == ()
        assert models.is_complete
        assert versions.is_complete
        assert not [request for request in server.requests if "churn" in request.target]


def test_a_name_with_special_characters_stays_one_path_segment(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, server):
        reader.model_versions().read()

    assert "/api/2.1/unity-catalog/models/main.r%26d%3Bv%3D2.gr%C3%B6%C3%9Fe-100%25%3Fx%3D1%23%27y%27/versions" in {
        request.path for request in requests_to(server, "/versions")
    }


def test_the_limit_of_rows_is_for_the_versions_of_all_models_together(workspace: Workspace) -> None:
    rows = [uc_row("sandbox.default.scoring", model_name="scoring", version=number) for number in (1, 2)]
    workspace.respond(f"{UC_MODELS}/sandbox.default.scoring/versions", {}, {"model_versions": rows})

    with (
        open_databricks_reader(workspace, max_rows=3) as (reader, _),
        pytest.raises(LimitExceededError, match="more than the 3 versions"),
    ):
        reader.model_versions().read()
