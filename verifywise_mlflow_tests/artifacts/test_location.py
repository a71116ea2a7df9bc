from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.location import (
    MAX_COPY_HOPS,
    LoggedModelFiles,
    NoFiles,
    RunFiles,
    UnreachableFiles,
    is_allowed_location,
    locate_files,
    parse_logged_model_id,
)
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, TrainingRun

RUN = "0123456789abcdef0123456789abcdef"
OTHER_RUN = "f" * 32
MODEL_ID = "m-" + "a" * 32


def version(source: str | None, number: int = 1, name: str = "fraud", run_id: str | None = RUN) -> ModelVersion:
    return ModelVersion(name, number, source=source, run_id=run_id)


def find_nothing(name: str, number: int) -> ModelVersion | None:
    return None


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

    assert locate_files(version(source), run, None, find_nothing) == RunFiles(RUN, path, source)


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
    location = locate_files(
        version(source), TrainingRun(RUN, artifact_uri="s3://bucket/run-1/artifacts"), None, find_nothing
    )

    assert isinstance(location, UnreachableFiles)
    assert source in location.reason


def test_a_run_uri_is_resolved_if_its_run_is_known() -> None:
    run = TrainingRun(RUN, artifact_uri="s3://b/x/artifacts/")

    location = locate_files(version(f"runs:/{RUN}/a/model"), run, None, find_nothing)
    unknown = locate_files(version(f"runs:/{OTHER_RUN}/model"), run, None, find_nothing)

    assert location == RunFiles(RUN, "a/model", "s3://b/x/artifacts/a/model")
    assert unknown == RunFiles(OTHER_RUN, "model", f"runs:/{OTHER_RUN}/model")


@pytest.mark.parametrize("source", ["runs:/", f"runs:/{RUN}/../x", "runs:/a b/x", f"runs://other-host/{RUN}/x"])
def test_a_malformed_run_uri_is_unreachable(source: str) -> None:
    assert isinstance(locate_files(version(source), None, None, find_nothing), UnreachableFiles)


@pytest.mark.parametrize("run_id", ["short-id", RUN])
def test_a_uri_in_the_servers_store_names_an_unreadable_run(run_id: str) -> None:
    source = f"mlflow-artifacts:/7/{run_id}/artifacts/model"

    assert locate_files(version(source, run_id=run_id), None, None, find_nothing) == RunFiles(run_id, "model", source)


def test_an_unreadable_run_in_another_store_is_unreachable() -> None:
    location = locate_files(version("file:///home/somebody/mlruns/0/x/artifacts/model"), None, None, find_nothing)

    assert isinstance(location, UnreachableFiles)
    assert "could not be read" in location.reason


def test_logged_models_are_found_by_id_uri_and_path() -> None:
    uri = f"mlflow-artifacts:/1/models/{MODEL_ID}/artifacts"
    logged = LoggedModel(MODEL_ID, artifact_uri=uri)

    assert locate_files(version(f"models:/{MODEL_ID}"), None, logged, find_nothing) == LoggedModelFiles(MODEL_ID, uri)
    assert locate_files(version(uri + "/"), None, logged, find_nothing) == LoggedModelFiles(MODEL_ID, uri)
    assert locate_files(version(uri), None, None, find_nothing) == LoggedModelFiles(MODEL_ID, uri)
    model_uri = f"models:/{MODEL_ID}"
    assert locate_files(version(model_uri), None, None, find_nothing) == LoggedModelFiles(MODEL_ID, model_uri)


@pytest.mark.parametrize(
    ("source", "model_id"),
    [
        (f"models:/{MODEL_ID}", MODEL_ID),
        (f"models:/{MODEL_ID}/", MODEL_ID),
        (f"s3://b/1/models/{MODEL_ID}/artifacts", MODEL_ID),
        (f"C:\\runs\\1\\models\\{MODEL_ID}\\artifacts", MODEL_ID),
        (f"models:/{MODEL_ID}/3", None),  # version 3 of a model whose name looks like an id
        (f"s3://b/{MODEL_ID}/artifacts", None),
        ("models:/m-123", None),
        ("", None),
    ],
)
def test_a_logged_model_id_is_parsed_from_a_source(source: str, model_id: str | None) -> None:
    assert parse_logged_model_id(source) == model_id


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("team/fraud", "models:/team/fraud/4"),
        ("my model", "models:/my%20model/4"),
        ("50%25", "models:/50%25/4"),  # a name that contains a percent sign
        ("a/b", "models:/a%2Fb/4"),
    ],
)
def test_a_copy_is_followed_to_its_origin(name: str, source: str) -> None:
    origin = version(f"runs:/{OTHER_RUN}/model", number=4, name=name)
    registry = {(name, 4): origin}

    location = locate_files(version(source), None, None, lambda name, number: registry.get((name, number)))

    assert location == RunFiles(OTHER_RUN, "model", f"runs:/{OTHER_RUN}/model")


def chain(hops: int) -> dict[int, ModelVersion]:
    copies = {n: version(f"models:/fraud/{n + 1}", n) for n in range(1, hops + 1)}
    return {**copies, hops + 1: version(f"runs:/{RUN}/m", hops + 1)}


@pytest.mark.parametrize(("hops", "is_located"), [(MAX_COPY_HOPS, True), (MAX_COPY_HOPS + 1, False)])
def test_chains_of_copies_are_followed_up_to_the_limit(hops: int, is_located: bool) -> None:
    versions = chain(hops)

    location = locate_files(versions[1], None, None, lambda _, number: versions.get(number))

    assert isinstance(location, RunFiles if is_located else UnreachableFiles)


def test_a_cycle_of_copies_is_unreachable() -> None:
    versions = {1: version("models:/fraud/2", 1), 2: version("models:/fraud/1", 2)}

    location = locate_files(versions[1], None, None, lambda _, number: versions.get(number))

    assert isinstance(location, UnreachableFiles)
    assert "leads back" in location.reason


@pytest.mark.parametrize(
    "source",
    ["models:/fraud@champion", "models:/fraud/Production", "models:/fraud", "models:/gone/3", "models://x@db/f/3"],
)
def test_a_models_uri_without_a_known_version_is_unreachable(source: str) -> None:
    assert isinstance(locate_files(version(source), None, None, find_nothing), UnreachableFiles)


@pytest.mark.parametrize("source", [None, "", "  "])
def test_a_version_without_a_source_has_no_location(source: str | None) -> None:
    assert isinstance(locate_files(version(source), None, None, find_nothing), NoFiles)


@given(st.text(), st.text())
def test_any_source_against_any_artifact_uri_gives_a_location(source: str, artifact_uri: str) -> None:
    location = locate_files(version(source), TrainingRun(RUN, artifact_uri=artifact_uri), None, find_nothing)

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
