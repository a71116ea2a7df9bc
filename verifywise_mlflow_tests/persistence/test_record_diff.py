"""The difference of two records lists the changed values, not two documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.persistence.queries.history import RecordState, Validity
from verifywise_mlflow.persistence.queries.record_diff import differences
from verifywise_mlflow_tests.support.stored_states import NOON

FILE = {"root": "model", "path": "model.pkl", "size": 1, "sha256": "a", "kind": "model"}
OTHER = {**FILE, "path": "MLmodel"}
PACKAGE = {"name": "numpy", "specifier": "==1", "pinned": True}
DATA = {"name": "train", "context": "training", "digest": "1"}
TAG = {"source": "run tag", "key": "owner", "raw": "ada"}


def state(origins: Mapping[str, Mapping[str, object]] | None = None, /, **fields: object) -> RecordState:
    values = dict.fromkeys(FIELDS) | {"model_name": "fraud", "version_number": 3} | fields
    record = CanonicalRecord(**values)  # type: ignore[arg-type]  # the fields that the test is about
    return RecordState(record, origins or {}, (), (), None, 1, Validity(NOON, "s", None, None))


@pytest.mark.parametrize(
    ("field", "before", "after", "expected"),
    [
        ("owner", "ada", "grace", [("owner", "ada", "grace")]),
        ("owner", None, "ada", [("owner", None, "ada")]),
        ("metrics", {"auc": 0.91, "f1": 1}, {"auc": 0.93, "f1": 1}, [("metrics.auc", 0.91, 0.93)]),
        ("metrics", {"auc": 1.0}, {"f1": 1.0}, [("metrics.auc", 1.0, None), ("metrics.f1", None, 1.0)]),
        ("metrics", {"loss": float("nan")}, {"loss": float("nan")}, []),
        ("metrics", None, {}, [("metrics", None, {})]),
        ("hyperparameters", {"a.b": "1"}, {"a.b": "2"}, [("hyperparameters.a.b", "1", "2")]),
        (
            "artifact_manifest",
            {"file_count": 2, "files": [FILE, OTHER]},
            {"file_count": 2, "files": [OTHER, {**FILE, "sha256": "b", "kind": "other"}]},
            [
                ("artifact_manifest.files.model model.pkl.sha256", "a", "b"),
                ("artifact_manifest.files.model model.pkl.kind", "model", "other"),
            ],
        ),
        ("evidence_files", [FILE], [FILE, OTHER], [("evidence_files.model MLmodel", None, OTHER)]),
        ("evidence_files", [FILE, OTHER], [OTHER, FILE], [("evidence_files", [FILE, OTHER], [OTHER, FILE])]),
        (
            "runtime_environment",
            {"packages": [PACKAGE], "sources": ["conda.yaml"]},
            {"packages": [{**PACKAGE, "specifier": ">=1"}], "sources": []},
            [
                ("runtime_environment.packages.numpy.specifier", "==1", ">=1"),
                ("runtime_environment.sources.conda.yaml", "conda.yaml", None),
            ],
        ),
        (
            "runtime_environment",
            {"packages": [PACKAGE, PACKAGE]},
            {"packages": [PACKAGE]},
            [("runtime_environment.packages.numpy #2", PACKAGE, None)],
        ),
        (
            "dataset_reference",
            [DATA],
            [{**DATA, "digest": "2"}],
            [("dataset_reference.train training.digest", "1", "2")],
        ),
    ],
)
def test_a_nested_field_is_compared_member_by_member(
    field: str, before: object, after: object, expected: list[tuple[str, object, object]]
) -> None:
    changes = differences(state(**{field: before}), state(**{field: after}))

    assert [(change.field, change.before, change.after) for change in changes] == expected


def test_an_equal_value_from_another_source_is_a_difference_of_origins() -> None:
    other_origin = {"source": "version tag", "key": "Owner", "raw": "ada"}

    (change,) = differences(state({"owner": TAG}, owner="ada"), state({"owner": other_origin}, owner="ada"))

    assert (change.path, change.before, change.after) == (("origins", "owner"), TAG, other_origin)


def test_the_raw_value_is_shown_only_if_the_value_does_not_show_it() -> None:
    other_spelling = {**TAG, "raw": " ADA"}

    value_changes = differences(
        state({"owner": TAG}, owner="ada"), state({"owner": {**TAG, "raw": "eve"}}, owner="eve")
    )
    raw_changes = differences(state({"owner": TAG}, owner="ada"), state({"owner": other_spelling}, owner="ada"))
    removed = differences(state({"owner": TAG}, owner="ada"), state())

    assert [change.field for change in value_changes] == ["owner"]
    assert [change.field for change in raw_changes] == ["origins.owner"]
    assert [change.field for change in removed] == ["owner"]


def test_incomplete_fields_findings_and_tombstones_are_compared() -> None:
    finding = {"kind": "conflict", "field": "owner", "sentence": "Two say different things."}
    no_run = {"kind": "run", "sentences": ["no run"], "fields": ["metrics"]}

    changes = differences(state(), replace(state(), incomplete=[no_run], findings=[finding], deleted_at=NOON))

    assert [(change.field, change.before, change.after) for change in changes] == [
        ("incomplete.run", None, no_run),
        ("findings.conflict owner", None, finding),
        ("deleted_at", None, NOON),
    ]


def test_a_missing_record_is_one_difference() -> None:
    assert [(change.field, change.before, change.after) for change in differences(None, state())] == [
        ("record", None, "kept")
    ]
    assert [(change.field, change.before, change.after) for change in differences(state(), None)] == [
        ("record", "kept", None)
    ]
    assert differences(None, None) == []
