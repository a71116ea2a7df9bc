"""Runs, logged models and files of Databricks, on an imitation of documented shapes. No live workspace was asked."""

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
from verifywise_mlflow_tests.connector.databricks_workspace import Workspace, error, questions, reading

LOGGED = "m-0123456789abcdef0123456789abcdef"
RUN = "/api/2.0/mlflow/runs/get"
FOLDER = "/api/2.0/mlflow/artifacts/list"


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.recorded("tracking")


def test_experiments_are_asked_for_within_the_documented_limit_and_order(workspace: Workspace) -> None:
    with reading(workspace) as (reader, server):
        listing = reader.experiments()

        assert [experiment.name for experiment in listing.rows] == ["/Users/ann@bank.example/churn"]
        assert questions(server)[0].query == {"max_results": 1000, "view_type": "ALL", "order_by": ["name ASC"]}


def test_runs_are_read_one_by_one_whatever_experiments_there_are(workspace: Workspace) -> None:
    with reading(workspace) as (reader, server):
        listing = reader.runs(["run-a", "run-b", "run-c"], [])

        assert listing.is_complete
        (run,) = listing.rows
        assert (run.run_id, run.status, run.metrics, run.params) == ("run-a", "FINISHED", {"auc": 0.91}, {"depth": "6"})
        assert run.datasets == (DatasetInput("main.retail.customers@7", "d1", "databricks-uc-table", "{}", "training"),)
        assert len(questions(server, "runs/get")) == 3


def test_a_run_that_was_not_found_says_why_when_it_is_asked_for(workspace: Workspace) -> None:
    with reading(workspace) as (reader, _):
        with pytest.raises(NotFoundError):
            reader.run("run-b")
        with pytest.raises(ForbiddenError):
            reader.run("run-c")


def test_one_run_that_the_server_trips_over_does_not_hide_the_others(workspace: Workspace) -> None:
    workspace.say(RUN, {"run_id": "run-b"}, error(500, "INTERNAL_ERROR"))

    with reading(workspace) as (reader, _):
        assert [run.run_id for run in reader.runs(["run-b", "run-a"], ["4711"]).rows] == ["run-a"]


def test_a_server_that_throttles_is_not_taken_for_one_without_runs(workspace: Workspace) -> None:
    workspace.say(RUN, {"run_id": "run-b"}, error(429, "REQUEST_LIMIT_EXCEEDED"))

    with reading(workspace) as (reader, _), pytest.raises(RateLimitedError):
        reader.runs(["run-a", "run-b"], ["4711"])


def test_logged_models_are_read_one_by_one(workspace: Workspace) -> None:
    with reading(workspace) as (reader, _):
        (model,) = reader.logged_models([LOGGED], []).rows

    assert (model.model_id, model.source_run_id, model.status, model.params) == (
        LOGGED,
        "run-b",
        "READY",
        {"depth": "6"},
    )


def test_a_workspace_older_than_logged_models_is_not_one_where_they_are_gone() -> None:
    with reading(Workspace()) as (reader, _), pytest.raises(EndpointNotFoundError):
        reader.logged_model(LOGGED)


# -- files


def test_a_folder_is_listed_over_all_of_its_pages(workspace: Workspace) -> None:
    with reading(workspace) as (reader, _):
        files = reader.run_artifacts("run-a", "model")

    assert [(file.path, file.is_directory, file.size) for file in files] == [
        ("model/MLmodel", False, 12),
        ("model/data", True, None),
        ("model/model.pkl", False, 4096),
    ]


def test_a_file_is_no_folder(workspace: Workspace) -> None:
    with reading(workspace) as (reader, _):
        assert reader.run_artifacts("run-a", "model/MLmodel") == []


def test_a_folder_of_a_volume_that_may_be_cut_off_is_not_taken_for_all(workspace: Workspace) -> None:
    files = [{"path": f"f{number}", "is_dir": False, "file_size": 1} for number in range(1000)]
    workspace.say(FOLDER, {"run_id": "run-a"}, {"files": files})

    with reading(workspace) as (reader, _), pytest.raises(LimitExceededError, match="there may be more"):
        reader.run_artifacts("run-a", "")


def test_files_of_a_run_come_through_the_files_api(workspace: Workspace) -> None:
    with reading(workspace) as (reader, server):
        for _ in range(2):
            with reader.run_artifact("run-a", "model/100% sure?.txt", 5) as chunks:
                assert b"".join(chunks) == b"bytes"

        assert len(questions(server, "runs/get")) == 1, "where a run's files lie is asked for once"


def test_files_of_a_logged_model_come_through_the_files_api(workspace: Workspace) -> None:
    with reading(workspace) as (reader, _):
        assert [file.path for file in reader.logged_model_artifacts(LOGGED, "")] == ["MLmodel"]
        with reader.logged_model_artifact(LOGGED, "MLmodel", 100) as chunks:
            assert b"".join(chunks) == b"flavors:\n"


def test_files_in_a_storage_of_the_customers_own_are_not_reached(workspace: Workspace) -> None:
    with reading(workspace) as (reader, _), pytest.raises(RequestRejectedError, match="s3://bank"):
        reader.run_artifact("run-s3", "model/MLmodel", 5)


@pytest.mark.parametrize("path", ["../../run-b/artifacts/x", "a/../x", "a//x", "%2e%2E/x", "a%2Fx", "a\\x", "a\n", ""])
def test_a_path_that_climbs_is_not_sent(workspace: Workspace, path: str) -> None:
    with reading(workspace) as (reader, server):
        with pytest.raises(EndpointNotAllowedError), reader.run_artifact("run-a", path, 5):
            pass

        assert not [asked for asked in server.requests if "/fs/" in asked.target]


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
def test_where_files_are_served(uri: str, owner: str, root: str | None) -> None:
    assert files_api_root(uri, owner) == root
