"""What a version was registered from: chains of copies, and chains that lead to no original."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.version_origin import (
    MAX_COPY_HOPS,
    MAX_VERSION_NUMBER,
    VersionOrigin,
    location_key,
    own_origin,
    parse_logged_model_id,
    trace_origin,
)
from verifywise_mlflow.connector.models import ModelVersion

RUN = "0123456789abcdef0123456789abcdef"
OTHER_RUN = "f" * 32
MODEL_ID = "m-" + "a" * 32
MODEL_PATH = f"s3://b/1/models/{MODEL_ID}/artifacts"
COPIED_AT = datetime(2026, 3, 2, tzinfo=UTC)


def version(source: str | None, number: int = 1, name: str = "fraud", run_id: str | None = RUN) -> ModelVersion:
    return ModelVersion(name, number, source=source, run_id=run_id, created_at=COPIED_AT)


def trace(copy: ModelVersion, *others: ModelVersion) -> VersionOrigin:
    registry = {(other.model_name, other.version_number): other for other in (copy, *others)}
    return trace_origin(copy, lambda name, number: registry.get((name, number)))


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
    ("source", "run_id", "expected"),
    [
        (f"runs:/{OTHER_RUN}/model", None, OTHER_RUN),
        (f"runs:/{OTHER_RUN}/model", RUN, RUN),
        (f"runs:/{OTHER_RUN}/../x", None, None),
        (f"runs://host/{OTHER_RUN}/model", None, None),
        ("s3://bucket/model", None, None),
    ],
)
def test_a_run_uri_names_the_run_of_a_version_that_names_none(
    source: str, run_id: str | None, expected: str | None
) -> None:
    assert own_origin(version(source, run_id=run_id)).run_id == expected


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        (MODEL_PATH, MODEL_PATH + "/", True),
        ("file:///C:/my%20disk/m", "file:C:/my disk/m", True),
        ("/data/m", "file:///data/m", True),
        ("s3://b/te%61m/m", "s3://b/team/m", False),
        (MODEL_PATH, MODEL_PATH + "/sub", False),
        ("s3://b/m", "gs://b/m", False),
    ],
)
def test_two_uris_share_a_location_key_if_they_name_one_location(left: str, right: str, is_same: bool) -> None:
    assert (location_key(left) == location_key(right)) is is_same


def test_a_location_with_a_path_traversal_has_no_key() -> None:
    assert location_key("s3://b/a/../m") is None


def test_only_a_path_needs_the_location_of_its_logged_model() -> None:
    by_path, by_id = own_origin(version(MODEL_PATH)), own_origin(version(f"models:/{MODEL_ID}"))

    assert (by_path.logged_model_id, by_path.logged_model_location) == (MODEL_ID, location_key(MODEL_PATH))
    assert (by_id.logged_model_id, by_id.logged_model_location) == (MODEL_ID, None)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("team/fraud", "models:/team/fraud/4"),
        ("my model", "models:/my%20model/4"),
        ("50%25", "models:/50%25/4"),  # a name that contains a percent sign
        ("a/b", "models:/a%2Fb/4"),
    ],
)
def test_a_copy_has_the_source_and_the_run_of_its_original(name: str, source: str) -> None:
    original = version(MODEL_PATH, number=4, name=name)

    assert trace(version(source, run_id=None), original) == VersionOrigin(MODEL_PATH, RUN, ((name, 4),))


@pytest.mark.parametrize(("hops", "is_traced"), [(MAX_COPY_HOPS, True), (MAX_COPY_HOPS + 1, False)])
def test_chains_of_copies_are_followed_up_to_the_limit(hops: int, is_traced: bool) -> None:
    copies = [version(f"models:/fraud/{n + 1}", n) for n in range(1, hops + 1)]

    origin = trace(*copies, version(MODEL_PATH, hops + 1))

    assert origin.logged_model_id == (MODEL_ID if is_traced else None)
    assert len(origin.copied_from) == (hops if is_traced else 0)
    assert is_traced or "more than" in str(origin.problem)


CREATED_LATER = replace(version(MODEL_PATH, 2), created_at=COPIED_AT + timedelta(milliseconds=1))


@pytest.mark.parametrize(
    ("source", "other", "problem"),
    [
        ("models:/fraud/2", version("models:/fraud/1", 2), "leads back"),
        ("models:/fraud/1", version(MODEL_PATH, 2), "leads back"),
        ("models:/fraud/2", CREATED_LATER, "was created after the copy"),
        ("models:/fraud/2", version(MODEL_PATH, 2, run_id=OTHER_RUN), "has another run"),
        ("models:/gone/3", version(MODEL_PATH, 2), "is not in the registry"),
        (f"models:/fraud/{MAX_VERSION_NUMBER + 1}", version(MODEL_PATH, 2), "names an alias, a stage"),
        ("models:/fraud@champion", version(MODEL_PATH, 2), "names an alias, a stage"),
        ("models:/fraud/Production", version(MODEL_PATH, 2), "names an alias, a stage"),
        ("models:/fraud", version(MODEL_PATH, 2), "names an alias, a stage"),
        ("models://x@db/fraud/2", version(MODEL_PATH, 2), "names another registry"),
    ],
)
def test_a_copy_whose_original_is_unknown_says_why(source: str, other: ModelVersion, problem: str) -> None:
    origin = trace(version(source), other)

    assert problem in str(origin.problem)
    assert (origin.source, origin.run_id, origin.copied_from, origin.logged_model_id) == (source, RUN, (), None)


def test_a_stored_origin_precedes_the_version_that_has_its_name_now() -> None:
    copy = version("models:/fraud/2")
    stored = VersionOrigin(MODEL_PATH, RUN, (("fraud", 2),))
    impostor = version("s3://elsewhere", 2)

    assert trace_origin(copy, lambda *_: impostor, lambda asked: stored if asked == copy else None) == stored


@given(st.text(), st.text(), st.text())
def test_any_source_has_an_origin(source: str, name: str, other: str) -> None:
    copy = version(source)

    origin = trace(copy, version(other, 1, name))

    assert origin.problem is None or origin.logged_model_id is None
