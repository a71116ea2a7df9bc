"""Runs, logged models and files of Databricks, from a fake with documented responses. No live workspace was used."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.databricks.files_api import files_api_root
from verifywise_mlflow.connector.errors import EndpointNotAllowedError, EndpointNotFoundError
from verifywise_mlflow.connector.models import DatasetInput
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    LimitExceededError,
    NotFoundError,
    RateLimitedError,
    RequestRejectedError,
)
from verifywise_mlflow_tests.connector.databricks_workspace import (
    Workspace,
    error_response,
    open_databricks_reader,
    requests_to,
)

LOGGED_MODEL_ID = "m-0123456789abcdef0123456789abcdef"
RUN = "/api/2.0/mlflow/runs/get"
FOLDER = "/api/2.0/mlflow/artifacts/list"


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.from_recordings("tracking")


def test_experiments_are_requested_with_the_documented_limit_and_order(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, server):
        listing = reader.experiments()

        assert [experiment.name for experiment in listing.rows] == ["/Users/ann@bank.example/churn"]
        assert requests_to(server)[0].query == {"max_results": 1000, "view_type": "ALL", "order_by": ["name ASC"]}


def test_runs_are_read_one_by_one_in_any_experiment(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, server):
        listing = reader.runs(["run-a", "run-b", "run-c"], [])

        assert listing.is_complete
        (run,) = listing.rows
        assert (run.run_id, run.status, run.metrics, run.params) == ("run-a", "FINISHED", {"auc": 0.91}, {"depth": "6"})
        assert run.datasets == (DatasetInput("main.retail.customers@7", "d1", "databricks-uc-table", "{}", "training"),)
        assert len(requests_to(server, "runs/get")) == 3


def test_requesting_a_missing_run_raises_the_reason(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, _):
        with pytest.raises(NotFoundError):
            reader.run("run-b")
        with pytest.raises(ForbiddenError):
            reader.run("run-c")


def test_a_server_error_for_one_run_does_not_hide_the_others(workspace: Workspace) -> None:
    workspace.respond(RUN, {"run_id": "run-b"}, error_response(500, "INTERNAL_ERROR"))

    with open_databricks_reader(workspace) as (reader, _):
        assert [run.run_id for run in reader.runs(["run-b", "run-a"], ["4711"]).rows] == ["run-a"]


def test_a_rate_limit_is_not_mistaken_for_missing_runs(workspace: Workspace) -> None:
    workspace.respond(RUN, {"run_id": "run-b"}, error_response(429, "REQUEST_LIMIT_EXCEEDED"))

    with open_databricks_reader(workspace) as (reader, _), pytest.raises(RateLimitedError):
        reader.runs(["run-a", "run-b"], ["4711"])


def test_logged_models_are_read_one_by_one(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, _):
        (model,) = reader.logged_models([LOGGED_MODEL_ID], []).rows

    assert (model.model_id, model.source_run_id, model.status, model.params) == (
        LOGGED_MODEL_ID,
        "run-b",
        "READY",
        {"depth": "6"},
    )


def test_a_workspace_without_logged_models_is_not_mistaken_for_deleted_ones() -> None:
    with open_databricks_reader(Workspace()) as (reader, _), pytest.raises(EndpointNotFoundError):
        reader.logged_model(LOGGED_MODEL_ID)


# -- files


def test_all_pages_of_a_folder_are_listed(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, _):
        files = reader.run_artifacts("run-a", "model")

    assert [(file.path, file.is_directory, file.size) for file in files] == [
        ("model/MLmodel", False, 12),
        ("model/data", True, None),
        ("model/model.pkl", False, 4096),
    ]


def test_a_file_is_not_listed_as_a_folder(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, _):
        assert reader.run_artifacts("run-a", "model/MLmodel") == []


def test_a_possibly_truncated_volume_listing_is_an_error(workspace: Workspace) -> None:
    files = [{"path": f"f{number}", "is_dir": False, "file_size": 1} for number in range(1000)]
    workspace.respond(FOLDER, {"run_id": "run-a"}, {"files": files})

    with open_databricks_reader(workspace) as (reader, _), pytest.raises(LimitExceededError, match="there may be more"):
        reader.run_artifacts("run-a", "")


def test_files_of_a_run_are_read_through_the_files_api(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, server):
        for _ in range(2):
            with reader.run_artifact("run-a", "model/100% sure?.txt", 5) as chunks:
                assert b"".join(chunks) == b"bytes"

        assert len(requests_to(server, "runs/get")) == 1, "the run's artifact URI is looked up once"


def test_files_of_a_logged_model_are_read_through_the_files_api(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, _):
        assert [file.path for file in reader.logged_model_artifacts(LOGGED_MODEL_ID, "")] == ["MLmodel"]
        with reader.logged_model_artifact(LOGGED_MODEL_ID, "MLmodel", 100) as chunks:
            assert b"".join(chunks) == b"flavors:\n"


def test_files_in_the_customers_own_storage_are_not_read(workspace: Workspace) -> None:
    with open_databricks_reader(workspace) as (reader, _), pytest.raises(RequestRejectedError, match="s3://bank"):
        reader.run_artifact("run-s3", "model/MLmodel", 5)


@pytest.mark.parametrize("path", ["../../run-b/artifacts/x", "a/../x", "a//x", "%2e%2E/x", "a%2Fx", "a\\x", "a\n", ""])
def test_a_path_traversal_is_not_sent(workspace: Workspace, path: str) -> None:
    with open_databricks_reader(workspace) as (reader, server):
        with pytest.raises(EndpointNotAllowedError), reader.run_artifact("run-a", path, 5):
            pass

        assert not [request for request in server.requests if "/fs/" in request.target]


@pytest.mark.parametrize(
    ("uri", "owner", "root"),
    [
        (
            "dbfs:/databricks/mlflow-tracking/1/r/artifacts",
            "r",
            "WorkspaceInternal/Mlflow/Artifacts/1/Runs/r/artifacts",
        ),
        (
            "dbfs:/databricks/mlflow-tracking/1/logged_models/m-1/artifacts/",
            "m-1",
            "WorkspaceInternal/Mlflow/Artifacts/1/LoggedModels/m-1/artifacts",
        ),
        ("dbfs:///databricks/mlflow-tracking/1/r", "r", "WorkspaceInternal/Mlflow/Artifacts/1/Runs/r"),
        ("dbfs:/Volumes/main/ml/files/1/r/artifacts", "r", "Volumes/main/ml/files/1/r/artifacts"),
        ("/Volumes/main/ml/files", "r", "Volumes/main/ml/files"),
        ("dbfs:/databricks/mlflow-tracking/1/another/artifacts", "r", None),
        ("dbfs:/databricks/mlflow-tracking/1/logged_models/r2/artifacts", "r", None),
        ("dbfs:/FileStore/models", "r", None),
        ("dbfs:/Volumes/main/ml", "r", None),
        ("s3://bucket/Volumes/a/b/c", "r", None),
        ("https://elsewhere.example/Volumes/a/b/c", "r", None),
        ("", "r", None),
    ],
)
def test_the_files_api_root_of_an_artifact_uri(uri: str, owner: str, root: str | None) -> None:
    assert files_api_root(uri, owner) == root
