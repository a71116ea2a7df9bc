"""A record states which objects could not be read, and which values are unusual."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.artifacts.integrity import ByteChange, DetectedChange
from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    FileKind,
    ManifestStatus,
)
from verifywise_mlflow.connector.models import (
    ModelVersion,
    Redaction,
    RegisteredModel,
    TrainingRun,
)
from verifywise_mlflow.normalizer.normalize import RecordInputs
from verifywise_mlflow.normalizer.normalized_record import NormalizedRecord
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, manifest, normalized, sentences


@pytest.mark.parametrize("size", [0, None])
def test_a_file_without_content_is_no_evidence_and_is_reported(size: int | None) -> None:
    report = ArtifactFile("run", "evaluation/report.json", size, "e" * 64, FileKind.EVALUATION)
    result = normalized(replace(inputs(), manifest=manifest("complete", report)))

    assert result.record.evidence_files == []
    assert [(finding.kind, finding.field) for finding in result.findings] == [("empty file", "evidence_files")]


@pytest.mark.parametrize(
    ("status", "evidence", "reasons"),
    [
        ("complete", [], {}),
        ("none", [], {}),
        ("partial", [], {"files": ("the artifact manifest is partial: a folder timed out",)}),
        ("unreachable", None, {"files": ("the artifact manifest is unreachable: a folder timed out",)}),
    ],
)
def test_a_partial_manifest_makes_the_record_incomplete(
    status: ManifestStatus, evidence: list[object] | None, reasons: dict[str, tuple[str, ...]]
) -> None:
    result = normalized(replace(inputs(), manifest=manifest(status, reason="a folder timed out")))

    assert result.record.evidence_files == evidence
    assert unread_sentences(result) == reasons


def unread_sentences(result: NormalizedRecord) -> dict[str, tuple[str, ...]]:
    return {unread.kind: unread.sentences for unread in result.incomplete}


def test_read_errors_are_listed_as_sentences() -> None:
    result = normalized(
        RecordInputs(
            version=ModelVersion("fraud", 3, run_id="r1", problems=("tags could not be used: 3",)),
            run_read_error="404: no such run",
            logged_model_read_error="403",
        )
    )

    assert unread_sentences(result) == {
        "model": ("the registered model was not read: its tags and aliases are unknown",),
        "run": ("the training run could not be read: 404: no such run",),
        "logged model": ("the logged model could not be read: 403",),
        "version": ("model version: tags could not be used: 3",),
    }


def test_a_run_that_was_never_requested_makes_the_record_incomplete() -> None:
    record_inputs = RecordInputs(version=ModelVersion("fraud", 3, run_id="r1"), model=RegisteredModel("fraud"))

    assert unread_sentences(normalized(record_inputs)) == {"run": ("the training run 'r1' was not read",)}


def test_a_deleted_run_is_a_finding_and_its_values_stay() -> None:
    result = normalized(replace(inputs(), run=TrainingRun("r1", lifecycle_stage="deleted", status="FINISHED")))

    assert result.record.training_status == "FINISHED"
    assert sentences(result) == [
        "the training run 'r1' is deleted in MLflow: the server may remove its data at any time",
    ]
    assert result.incomplete == ()


@pytest.mark.parametrize(
    ("tags", "key"),
    [
        ({"mlflow.source.git.dirty": "true"}, "mlflow.source.git.dirty"),
        ({"git_dirty": "True"}, "git_dirty"),
        ({"mlflow.source.git.dirty": "false", "mlflow.source.git.diff": "-a\n+b"}, "mlflow.source.git.diff"),
    ],
)
@pytest.mark.parametrize("kind", ["version", "run", "logged model"])
def test_a_mark_of_uncommitted_changes_is_a_finding_whichever_object_names_the_commit(
    tags: dict[str, str], key: str, kind: str
) -> None:
    commit = {"git_commit": "8f3c1d2e4b5a6978"}
    record_inputs = inputs(
        version_tags=commit | (tags if kind == "version" else {}),
        run_tags=tags if kind == "run" else {},
        logged_model_tags=tags if kind == "logged model" else {},
    )

    (finding,) = normalized(record_inputs).findings

    assert (finding.kind, finding.field) == ("modified code", "code_commit")
    assert finding.sentence == f"the tag '{key}' of the {kind} shows changes of the code that are not in the commit"


@pytest.mark.parametrize("tags", [{}, {"mlflow.source.git.dirty": "false"}, {"mlflow.source.git.diff": " "}])
def test_a_clean_working_copy_is_no_finding(tags: dict[str, str]) -> None:
    assert normalized(inputs(run_tags=tags)).findings == ()


def test_a_hidden_version_is_a_finding() -> None:
    record_inputs = replace(inputs(), version=ModelVersion("fraud", 3, hidden_from_search=True))

    assert sentences(normalized(record_inputs)) == [
        "a prompt tag hides this version or its model from MLflow's own search"
    ]


def test_a_dangling_alias_is_a_finding_of_each_version() -> None:
    record_inputs = replace(inputs(aliases=("champion",)), dangling_aliases=("champion",))

    assert sentences(normalized(record_inputs)) == [
        "the model's alias 'champion' points to version 3, which does not exist"
    ]


def test_a_flood_of_dangling_aliases_hides_no_other_finding() -> None:
    aliases = tuple(f"alias-{number}" for number in range(10_050))
    flooded = inputs(aliases=aliases)
    secret = Redaction("param", "token", "secret", "api key")
    version = replace(flooded.version, redactions=(secret,))

    findings = normalized(replace(flooded, dangling_aliases=aliases, version=version)).findings

    assert len(findings) < 50
    assert sum(finding.count for finding in findings if finding.kind == "dangling alias") == 10_050
    assert [finding.count for finding in findings if finding.kind == "secret redacted"] == [1]


def test_a_recreated_model_is_a_finding() -> None:
    record_inputs = replace(inputs(), incarnation=2)

    assert sentences(normalized(record_inputs)) == [
        "another version had this name and number before, until its model was deleted or renamed: this one belongs to "
        "incarnation 2 of the name",
    ]


def test_changes_in_place_are_in_the_manifest_and_among_the_findings() -> None:
    change = ByteChange("changed", "model", "model.pkl", "a" * 64, "b" * 64, 10, 10)
    detected = DetectedChange(change, datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    result = normalized(replace(inputs(), manifest=manifest("complete"), changes_in_place=(detected,) * 22))

    stored_manifest = result.record.artifact_manifest
    assert isinstance(stored_manifest, dict)
    assert stored_manifest["changed_in_place_count"] == 22
    assert stored_manifest["changed_in_place"][0] == {
        "kind": "changed",
        "root": "model",
        "path": "model.pkl",
        "former_sha256": "a" * 64,
        "sha256": "b" * 64,
        "seen_at": "2026-03-01T12:30:00.000+00:00",
    }
    assert result.findings[0].sentence.endswith(f"{'a' * 64} is now {'b' * 64} (seen 2026-03-01 12:30 UTC)")
    assert sentences(result)[20:] == ["2 more findings of this kind: changed in place"]
