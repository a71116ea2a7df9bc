from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.location import (
    LoggedModelFiles,
    NoFiles,
    RunFiles,
    UnreachableFiles,
    is_allowed_location,
    locate_files,
)
from verifywise_mlflow.artifacts.version_origin import VersionOrigin
from verifywise_mlflow.connector.models import LoggedModel, TrainingRun

RUN = "0123456789abcdef0123456789abcdef"
OTHER_RUN = "f" * 32
MODEL_ID = "m-" + "a" * 32


def origin(source: str | None, run_id: str | None = RUN) -> VersionOrigin:
    return VersionOrigin(source, run_id)


@pytest.mark.parametrize(
    ("artifact_uri", "source", "path"),
    [
        (f"mlflow-artifacts:/1/{RUN}/artifacts", f"mlflow-artifacts:/1/{RUN}/artifacts/model", "model"),
        (f"mlflow-artifacts:/1/{RUN}/artifacts/", f"mlflow-artifacts:/1/{RUN}/artifacts/a/b/", "a/b"),
        (f"s3://bucket/{RUN}/artifacts", f"s3://bucket/{RUN}/artifacts/model", "model"),
        (f"s3://bucket/{RUN}/artifacts", f"s3://bucket/{RUN}/artifacts", ""),
        ("/data/mlruns/1/r/artifacts", "file:///data/mlruns/1/r/artifacts/model", "model"),
        ("file:/data/r/artifacts", "/data/r/artifacts/model", "model"),
        ("file://localhost/data/r/artifacts", "file:/data/r/artifacts/model", "model"),
        ("file:///my%20disk/r/artifacts", "/my disk/r/artifacts/the%20model", "the model"),
        ("./mlruns/0/r/artifacts", "mlruns/0/r/artifacts/model", "model"),
        ("file:///C:/ml runs/r/artifacts", "C:\\ml runs\\r\\artifacts\\model", "model"),
        ("file:c:/r/artifacts", "C:/r/artifacts/model", "model"),
        ("file://C:/r/artifacts", "C:/r/artifacts/model", "model"),
        ("\\\\nas\\ml\\r\\artifacts", "file://nas/ml/r/artifacts/model", "model"),
        ("dbfs:/r/artifacts", "dbfs:///r/artifacts/model", "model"),
    ],
)
def test_a_source_below_the_runs_artifact_uri_belongs_to_the_run(artifact_uri: str, source: str, path: str) -> None:
    run = TrainingRun(RUN, artifact_uri=artifact_uri)

    assert locate_files(origin(source), run, None) == RunFiles(RUN, path, source)


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/run-1/artifacts-of-others/model",
        "s3://other/run-1/artifacts/model",
        "gs://bucket/run-1/artifacts/model",
        "s3://bucket/run-1/artifacts/../../run-2/model",
        "s3://bucket/run-1/artifacts/%2e%2e/model",
        "s3://bucket/run-1/artifacts/%252e%252e/model",
        "s3://bucket/run-1/artifacts/a%2Fb",
        "http://127.0.0.1/model",
        "dummy-source",
    ],
)
def test_any_other_source_is_unreachable_with_a_reason(source: str) -> None:
    location = locate_files(origin(source), TrainingRun(RUN, artifact_uri="s3://bucket/run-1/artifacts"), None)

    assert isinstance(location, UnreachableFiles)
    assert source in location.reason


def test_a_run_uri_is_resolved_if_its_run_is_known() -> None:
    run = TrainingRun(RUN, artifact_uri="s3://b/x/artifacts/")

    location = locate_files(origin(f"runs:/{RUN}/a/model"), run, None)
    unknown = locate_files(origin(f"runs:/{OTHER_RUN}/model"), run, None)

    assert location == RunFiles(RUN, "a/model", "s3://b/x/artifacts/a/model")
    assert unknown == RunFiles(OTHER_RUN, "model", f"runs:/{OTHER_RUN}/model")


@pytest.mark.parametrize("source", ["runs:/", f"runs:/{RUN}/../x", "runs:/a b/x", f"runs://other-host/{RUN}/x"])
def test_a_malformed_run_uri_is_unreachable(source: str) -> None:
    assert isinstance(locate_files(origin(source), None, None), UnreachableFiles)


@pytest.mark.parametrize("run_id", ["short-id", RUN])
def test_a_uri_in_the_servers_store_names_an_unreadable_run(run_id: str) -> None:
    source = f"mlflow-artifacts:/7/{run_id}/artifacts/model"

    assert locate_files(origin(source, run_id=run_id), None, None) == RunFiles(run_id, "model", source)


def test_an_unreadable_run_in_another_store_is_unreachable() -> None:
    location = locate_files(origin("file:///home/somebody/mlruns/0/x/artifacts/model"), None, None)

    assert isinstance(location, UnreachableFiles)
    assert "could not be read" in location.reason


def test_logged_models_are_found_by_id_uri_and_path() -> None:
    uri = f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts"
    logged = LoggedModel(MODEL_ID, artifact_uri=uri)

    assert locate_files(origin(f"models:/{MODEL_ID}"), None, logged) == LoggedModelFiles(MODEL_ID, uri)
    assert locate_files(origin(uri + "/"), None, logged) == LoggedModelFiles(MODEL_ID, uri)
    assert locate_files(origin(uri), None, None) == LoggedModelFiles(MODEL_ID, uri)
    model_uri = f"models:/{MODEL_ID}"
    assert locate_files(origin(model_uri), None, None) == LoggedModelFiles(MODEL_ID, model_uri)


def test_a_copy_without_a_known_original_is_unreachable() -> None:
    origin = VersionOrigin("models:/gone/3", problem="models:/gone/3 is not in the registry")

    assert locate_files(origin, None, None) == UnreachableFiles("models:/gone/3", str(origin.problem))


@pytest.mark.parametrize("source", [None, "", "  "])
def test_a_version_without_a_source_has_no_location(source: str | None) -> None:
    assert isinstance(locate_files(origin(source), None, None), NoFiles)


@given(st.text(), st.text())
def test_any_source_against_any_artifact_uri_gives_a_location(source: str, artifact_uri: str) -> None:
    location = locate_files(origin(source), TrainingRun(RUN, artifact_uri=artifact_uri), None)

    if isinstance(location, RunFiles):
        assert ".." not in location.path.split("/")
        assert "\0" not in location.path
    assert is_allowed_location(source, None)


@pytest.mark.parametrize(
    ("uri", "locations", "verdict"),
    [
        ("http://169.254.169.254/x", None, True),
        ("s3://bucket/team/model", ["s3://bucket/team"], True),
        ("s3://bucket/team/model", ["s3://bucket/team/"], True),
        ("s3://bucket/team/model", ["gs://x", "s3://bucket"], True),
        ("s3://bucket/team-2/model", ["s3://bucket/team"], False),
        ("s3://bucket/team/../other", ["s3://bucket/team"], False),
        ("s3://bucket/team/%2e%2e/other", ["s3://bucket/team"], False),
        ("s3://bucket/te%61m/model", ["s3://bucket/team"], False),
        ("file:///data/x", ["/data"], True),
        ("/data\0/x", ["/"], False),
        ("mlflow-artifacts:/1/r/artifacts", [], True),
        ("mlflow-artifacts://elsewhere/1/r/artifacts", [], False),
        ("mlflow-artifacts:/1/../../etc", [], False),
        ("models:/m-1", ["s3://bucket"], False),
        ("anything", [""], False),
    ],
)
def test_the_allow_list_matches_whole_segments(uri: str, locations: list[str] | None, verdict: bool) -> None:
    assert is_allowed_location(uri, locations) is verdict
