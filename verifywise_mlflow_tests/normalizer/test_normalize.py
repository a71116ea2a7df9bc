"""Each field of a record is filled from MLflow's data about a version, and has an origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    FileKind,
)
from verifywise_mlflow.connector.models import (
    DatasetInput,
    LoggedModel,
    ModelVersion,
    RegisteredModel,
    TrainingRun,
)
from verifywise_mlflow.normalizer.candidates import source_attributes
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.mapping.value_sources import SOURCE_ATTRIBUTES
from verifywise_mlflow.normalizer.normalize import RecordInputs
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow.normalizer.prompt_links import RegisteredPrompt, RegisteredPromptVersion
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow_tests.support.record_inputs_factory import inputs, manifest, normalized

MORNING, NOON, EVENING = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (8, 12, 18))

COMPLIANCE_TAGS = {
    "ai_system": "Triage",
    "model_tier": "tier 1",
    "confidentiality": "restricted",
    "fria": "completed 2026-02-01",
    "human_oversight": "done 2026-02-01",
    "approval_date": "2026-02-02",
    "reviewed_by": "Bob Stone",
    "validated_by": "model-validation-team",
    "validation_date": "2026-01-30",
    "drift_report": "drift-2026-02-28",
    "model_kind": "predictive",
    "base_model": "mistral-7b",
    "license": "Apache-2.0",
    "prompt_version": "prompts:/triage/4",
    "red_team": "RT-2026-3",
}

TAG_TEXT = st.text(st.characters(exclude_categories=()))


def test_every_field_is_filled_and_has_an_origin() -> None:
    result = normalized(
        RecordInputs(
            version=ModelVersion(
                "fraud", 3, MORNING, EVENING, "Production", "Finds fraud.", "runs:/r1/model", "r1", "READY",
                deployment_job_state="DEPLOYED",
                tags={"risk": "High-Risk", "rmse_candidate": "2.5", "approved_by": "dpo", **COMPLIANCE_TAGS},
            ),
            model=RegisteredModel(
                "fraud",
                aliases={"champion": 3, "Best": 3, "challenger": 4},
                tags={"purpose": "payments", "regulation": "PSD2", "pentest": "2026.1"},
            ),
            run=TrainingRun(
                "r1", "7", "run", "u", "FINISHED", "active", MORNING, NOON, "mlflow-artifacts:/7/r1/artifacts",
                metrics={"auc": 0.9}, params={"depth": "3"},
                tags={
                    "mlflow.source.git.commit": "c0ffee", "mlflow.source.name": "train.py", "mlflow.user": "ann",
                    "pii": "yes", "dpia": "done",
                },
                datasets=(DatasetInput("payments", "d1", "s3", "s3://b/k", "training"),),
            ),
            experiment_name="fraud-detection",
            logged_model=LoggedModel("m-1"),
            generative_evaluation={"state": "read", "assessments": []},
            manifest=manifest(),
        ),
        {"triage": RegisteredPrompt(1, {}, {4: RegisteredPromptVersion("e" * 64, False)}, is_deleted=False)},
    )  # fmt: skip

    record = result.record
    assert record.description == "Finds fraud."
    assert (record.risk_category, record.data_sensitivity, record.privacy_assessment_status) == (
        "high",
        "personal",
        "completed",
    )
    assert (record.training_status, record.training_started_at, record.training_ended_at) == ("FINISHED", MORNING, NOON)
    assert (record.metrics, record.hyperparameters) == ({"auc": 0.9}, {"depth": "3"})
    assert record.evaluation_tags is not None
    assert set(record.evaluation_tags) == {"rmse_candidate", "validated_by", "validation_date", "drift_report"}
    assert (record.code_commit, record.training_entrypoint, record.owner) == ("c0ffee", "train.py", "ann")
    assert (record.experiment_id, record.experiment_name) == ("7", "fraud-detection")
    assert (record.aliases, record.logged_model_id, record.training_user) == (("Best", "champion"), "m-1", "ann")
    assert record.dataset_reference == [
        {"name": "payments", "digest": "d1", "source_type": "s3", "source": "s3://b/k", "context": "training"}
    ]
    assert [field for field in FIELDS if getattr(record, field) is None] == []
    assert list(result.origins) == [*FIELDS, *(f"evaluation_tags.{key}" for key in record.evaluation_tags)]
    assert result.origins["evaluation_tags.rmse_candidate"] == Origin("version tag", "rmse_candidate", "2.5")
    assert result.origins["runtime_environment"] == Origin("artifact", "conda.yaml, requirements.txt", None)
    assert result.origins["created_at"].raw == "1772352000000"
    assert result.origins["training_status"] == Origin("run", "status", "FINISHED")
    assert result.origins["deployment_status"] == Origin("version", "deployment_job_state", "DEPLOYED")
    assert (result.incomplete, result.findings) == ((), ())


def test_a_bare_version_has_gaps_and_no_error() -> None:
    result = normalized(inputs())

    filled = {field for field in FIELDS if getattr(result.record, field) is not None}
    assert filled == {"model_name", "version_number", "aliases", "evaluation_tags"}
    assert (result.record.aliases, result.record.evaluation_tags) == ((), {})
    assert list(result.origins) == ["model_name", "version_number", "aliases", "evaluation_tags"]
    assert (result.incomplete, result.findings) == ((), ())


def test_the_models_description_is_the_fallback_for_the_versions() -> None:
    record_inputs = RecordInputs(
        version=ModelVersion("fraud", 3, description="  "), model=RegisteredModel("fraud", description=" As *is*.\n")
    )
    result = normalized(record_inputs)

    assert result.record.description == " As *is*.\n"
    assert result.origins["description"].source == "model"


@pytest.mark.parametrize(
    ("source", "run_id", "expected"),
    [
        ("models:/m-1", None, "r9"),
        ("models:/m-1", "r1", "r1"),
        ("models:/fraud/2", None, "r9"),
        ("s3://b/1/models/m-1/artifacts", None, "r9"),
    ],
)
def test_a_logged_models_run_is_the_fallback_of_a_version_that_is_linked_to_it(
    source: str | None, run_id: str | None, expected: str | None
) -> None:
    version = ModelVersion("fraud", 3, source=source, run_id=run_id)
    record_inputs = RecordInputs(version=version, logged_model=LoggedModel("m-1", source_run_id="r9"))

    assert normalized(record_inputs).record.source_run_id == expected


def test_a_logged_model_provides_the_lineage_of_an_unreadable_run() -> None:
    tags = {"mlflow.user": "ann", "mlflow.source.git.commit": "c0ffee", "mlflow.source.name": "train.py"}
    logged = LoggedModel("m-1", experiment_id="7", source_run_id="r9", artifact_uri="s3://b/m-1", tags=tags)
    version = ModelVersion("fraud", 3, source="models:/m-1")
    record = normalized(RecordInputs(version=version, logged_model=logged, run_read_error="404")).record

    assert (record.owner, record.code_commit, record.training_entrypoint) == ("ann", "c0ffee", "train.py")
    assert (record.experiment_id, record.artifact_uri, record.metrics) == ("7", "s3://b/m-1", None)


@pytest.mark.parametrize(
    ("tags", "commit"),
    [
        ({"git_sha": "b", "mlflow.source.git.commit": "a"}, "a"),
        ({"git_sha": "b", "mlflow.databricks.gitRepoCommit": "a"}, "a"),
        ({"gitCommit": "b"}, "b"),
    ],
)
def test_the_commit_that_mlflow_recorded_takes_precedence_over_a_tag(tags: Mapping[str, str], commit: str) -> None:
    assert (
        normalized(
            inputs(version_tags={"code_version": "z"} if commit == "a" else {}, run_tags=tags)
        ).record.code_commit
        == commit
    )


def test_the_entry_point_of_a_project_takes_precedence_over_its_source() -> None:
    tags = {"mlflow.source.name": "https://git/repo", "mlflow.project.entryPoint": "main"}

    assert normalized(inputs(run_tags=tags)).record.training_entrypoint == "main"


def test_a_tag_names_the_data_set_if_the_run_recorded_none() -> None:
    result = normalized(inputs(run_tags={"training_data": " s3://b/train.parquet "}))

    assert result.record.dataset_reference == [
        {"name": "s3://b/train.parquet", "digest": None, "source_type": None, "source": None, "context": None}
    ]
    assert result.origins["dataset_reference"].key == "training_data"


@pytest.mark.parametrize(
    ("key", "is_evaluation"),
    [
        *[
            (key, True)
            for key in ("eval_batch_id", "evaluation.date", "validation_status", "validated_at", "testScore")
        ],
        *[
            (key, True)
            for key in ("test_accuracy", "bias-check", "fairness", "rmse_candidate", "candidate_rmse", "f1-score")
        ],
        *[
            (key, True)
            for key in (
                "model.benchmark",
                "baseline_auc",
                "driftReport",
                "explainability",
                "robustness",
                "quality_gate",
            )
        ],
        *[
            (key, False)
            for key in ("mlflow.evaluation.x", "tester", "promoted_at", "maestro", "role", "trained_on_batches")
        ],
    ],
)
def test_evaluation_tags_are_recognized_by_their_keys(key: str, is_evaluation: bool) -> None:
    expected = {key: " as written "} if is_evaluation else {}

    assert normalized(inputs(version_tags={key: " as written "})).record.evaluation_tags == expected
    assert normalized(inputs(run_tags={key: " as written "})).record.evaluation_tags == expected


def test_a_versions_evaluation_tag_overrides_its_runs() -> None:
    record_inputs = inputs(
        version_tags={"eval": "new"}, run_tags={"eval": "old", "test_auc": "0.8"}, model_tags={"eval_x": "1"}
    )

    assert normalized(record_inputs).record.evaluation_tags == {"eval": "new", "test_auc": "0.8"}


def test_the_manifest_becomes_json_with_a_separate_list_of_evidence() -> None:
    card = ArtifactFile("model", "README.md", 10, "a" * 64, FileKind.MODEL_CARD)
    binary = ArtifactFile("model", "model.pkl", None, None, FileKind.MODEL, "too large")
    record = normalized(replace(inputs(), manifest=manifest("complete", card, binary))).record

    card_json = {"root": "model", "path": "README.md", "size": 10, "sha256": "a" * 64, "kind": "model card"}
    binary_json = {"root": "model", "path": "model.pkl", "size": None, "sha256": None, "kind": "model binary"}
    assert record.evidence_files == [card_json]
    assert record.artifact_manifest == {
        "location": "mlflow-artifacts:/1/r1/artifacts/model",
        "status": "complete",
        "reason": None,
        "digest": "d" * 64,
        "file_count": 2,
        "total_bytes": 10,
        "hashed_count": 1,
        "files": [{**card_json, "note": None}, {**binary_json, "note": "too large"}],
        "signatures": [],
        "changed_in_place_count": 0,
        "changed_in_place": [],
    }
    assert record.runtime_environment == {
        "python_version": "3.11.7",
        "packages": [{"name": "scikit-learn", "specifier": "==1.9.1", "source": "requirements.txt", "pinned": True}],
        "sources": ["conda.yaml", "requirements.txt"],
        "mlflow_version": "3.17.2",
        "flavors": {"sklearn": "1.9.1"},
        "tasks": [],
        "serialization_format": "cloudpickle",
        "model_size_bytes": None,
        "signature": None,
        "reproducible": True,
        "missing_pins": [],
        "problems": [],
    }


def test_every_attribute_that_a_value_source_may_name_is_looked_up() -> None:
    full_inputs = RecordInputs(
        version=ModelVersion("fraud", 3, source="models:/m-1"),
        model=RegisteredModel("fraud"),
        run=TrainingRun("r1"),
        logged_model=LoggedModel("m-1"),
    )

    assert {source: set(values) for source, values in source_attributes(full_inputs).items()} == {
        source: set(names) for source, names in SOURCE_ATTRIBUTES.items() if source != "artifact"
    }


KEYS = TAG_TEXT | st.sampled_from(
    sorted(
        {key for keys in default_mapping().synonyms.values() for key in keys}
        | {key for keys in default_mapping().questions.values() for key in keys}
        | {"mlflow.user", "mlflow.source.git.commit", "eval"}
    )
)

TAGS = st.dictionaries(
    KEYS, TAG_TEXT | st.sampled_from(["yes", "no", "high", "not done", "2026-03-01", " "]), max_size=8
)


@settings(max_examples=300)
@given(TAGS, TAGS, TAGS, TAGS, st.lists(TAG_TEXT, max_size=3), st.none() | TAG_TEXT)
def test_any_text_can_be_normalized(
    version_tags: dict[str, str],
    model_tags: dict[str, str],
    run_tags: dict[str, str],
    logged_model_tags: dict[str, str],
    aliases: list[str],
    stage: str | None,
) -> None:
    result = normalized(
        inputs(
            version_tags=version_tags,
            model_tags=model_tags,
            run_tags=run_tags,
            logged_model_tags=logged_model_tags,
            aliases=tuple(aliases),
            stage=stage,
        )
    )

    stage_origin = result.origins.get("lifecycle_stage")
    if not (stage_origin and stage_origin.source == "version tag"):  # an unknown stage in it stays as written
        assert result.record.lifecycle_stage in {None, "production", "staging", "development", "archived"}
    fields = {field for field in FIELDS if getattr(result.record, field) is not None}
    members = {f"evaluation_tags.{key}" for key in result.record.evaluation_tags or ()}
    without_value = {field for field, origin in result.origins.items() if origin.state}
    assert without_value.isdisjoint(fields)
    assert set(result.origins) == fields | members | without_value
    for origin in result.origins.values():
        assert origin.raw is None or origin.raw.strip()
