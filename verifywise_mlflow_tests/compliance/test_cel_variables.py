"""What a rule can read of a record, and what is left out."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.rules.cel_expression import CelExpressionError, compile_expression
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.evidence import Evidence, evidence_of
from verifywise_mlflow.normalizer.record import FIELDS, NORMAL_FORMS
from verifywise_mlflow_tests.compliance.records import record_with

A_VALUE_OF_EACH_FIELD: dict[str, Json | datetime] = {
    **dict.fromkeys(FIELDS, "text"),
    **{field: forms[0] for field, forms in NORMAL_FORMS.items()},
    **dict.fromkeys(
        ("created_at", "last_updated_at", "training_started_at", "training_ended_at"), datetime(2026, 3, 1, tzinfo=UTC)
    ),
    "version_number": 7,
    "aliases": ("champion",),
    "metrics": {"accuracy": 0.9},
    "hyperparameters": {"depth": "3"},
    "evaluation_tags": {"suite": "a"},
    "generative_evaluation": {"assessed_traces": 3, "assessments": [{"name": "correct", "passed": 2}]},
    "dataset_reference": ({"name": "a", "digest": None},),
    "linked_prompts": ({"name": "letter", "version": 2, "alias": None},),
    "runtime_environment": {"reproducible": True, "sources": ("conda.yaml",)},
    "artifact_manifest": {"files": [{"path": "model.pkl", "size": 2**70}]},
    "evidence_files": [{"path": "report.html"}],
}


def evidence_with(**fields: Json | datetime) -> Evidence:
    return evidence_of(Subject(record_with(**fields)))


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_is_a_variable_of_its_type(field: str) -> None:
    activation = evidence_with(**A_VALUE_OF_EACH_FIELD).activation()

    assert compile_expression(f"{field} == {field} && has(stated.{field}) && stated.{field}").holds(activation) is True


@pytest.mark.parametrize("empty", [None, "", " \n", {}, [], ()])
def test_an_empty_value_is_unknown(empty: Json) -> None:
    evidence = evidence_with(owner=empty, runtime_environment=empty)

    assert not {"owner", "runtime_environment"} & set(evidence.known)


@pytest.mark.parametrize("field", NORMAL_FORMS)
def test_a_value_outside_the_normal_forms_is_unrecognized(field: str) -> None:
    evidence = evidence_with(**{field: "xyz"})

    assert evidence.unrecognized == {field: "xyz"}
    assert field not in evidence.known


def test_a_version_without_a_stage_is_known_to_have_none() -> None:
    unstaged, unclear = record_with(), record_with(lifecycle_stage="pilot")
    is_none_stage, has_stage = (
        compile_expression('lifecycle_stage == "none"'),
        compile_expression("has(stated.lifecycle_stage)"),
    )

    assert is_none_stage.holds(evidence_of(Subject(unstaged)).activation()) is True
    assert has_stage.holds(evidence_of(Subject(unstaged)).activation()) is False
    assert is_none_stage.holds(evidence_of(Subject(unclear)).activation()) is None


def test_the_stores_names_of_non_finite_numbers_become_numbers() -> None:
    metrics = evidence_with(metrics={"a": "NaN", "b": "-Infinity", "c": 1.5}).known["metrics"]

    assert isinstance(metrics, dict)
    assert metrics["b"] == -math.inf
    assert metrics["c"] == 1.5
    assert isinstance(metrics["a"], float)
    assert math.isnan(metrics["a"])


def test_a_lone_surrogate_is_replaced_and_other_text_is_not() -> None:
    assert evidence_with(owner="Zoë \ud800").known["owner"] == "Zoë ?"


def test_a_number_beyond_64_bits_still_compares() -> None:
    activation = evidence_with(artifact_manifest={"total_bytes": 2**70}).activation()

    assert compile_expression("artifact_manifest.total_bytes > 1000").holds(activation) is True


def test_an_origin_has_empty_texts_where_there_is_none_and_no_days_without_a_date() -> None:
    dated = {"source": "version tag", "key": "dpia", "raw": "done 2026-Q1", "dated": "2026-Q1"}
    approved = {"source": "version tag", "key": "approved_by", "raw": "Ada", "same_person_as": ["owner"]}
    approved |= {"may_be_same_person_as": ["training_user"]}
    subject = Subject(record_with(), origins={"privacy_assessment_status": dated, "compliance_approver": approved})
    activation = evidence_of(subject).activation()

    for text in (
        'origins.owner.state == "" && origins.owner.source == "" && !has(origins.owner.latest)',
        'origins.privacy_assessment_status.raw == "done 2026-Q1" && origins.privacy_assessment_status.key == "dpia"',
        'timestamp(origins.privacy_assessment_status.earliest) == timestamp("2026-01-01T00:00:00Z")',
        'origins.compliance_approver.same_person_as == ["owner"] && size(origins.owner.same_person_as) == 0',
        '!("owner" in origins.reviewer.same_person_as)',
        'origins.compliance_approver.may_be_same_person_as == ["training_user"]',
        'timestamp(origins.privacy_assessment_status.latest) == timestamp("2026-03-31T00:00:00Z")',
    ):
        assert compile_expression(text).holds(activation) is True


@pytest.mark.parametrize("text", ["origins.owner == origins.owner", 'origins.owner.date == ""', "size(origins) > 0"])
def test_an_expression_reads_single_members_of_an_origin(text: str) -> None:
    with pytest.raises(CelExpressionError, match=r"write origins\.FIELD\.MEMBER, with one of"):
        compile_expression(text)


def test_findings_are_listed_by_kind_and_by_field() -> None:
    conflict: dict[str, Json] = {"kind": "conflict", "field": "owner", "sentence": "Two owners.", "count": 1}
    deleted: dict[str, Json] = {"kind": "deleted run", "field": None, "sentence": "The run is deleted.", "count": 1}
    activation = evidence_of(Subject(record_with(), findings=[conflict, deleted])).activation()

    for text in (
        'findings_of_kind["deleted run"].map(finding, finding.sentence) == ["The run is deleted."]',
        'findings_about.owner.exists(finding, finding.kind == "conflict") && size(findings_about.owner) == 1',
        'size(findings_of_kind["not ready"]) == 0 && size(findings_about.model_kind) == 0',
    ):
        assert compile_expression(text).holds(activation) is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('size(findings_of_kind["deleted runs"]) == 0', "with one of the kinds unknown value, no value, "),
        ("size(findings_of_kind) == 0", 'write findings_of_kind\\["KIND"\\]'),
        ("size(findings_about.ownr) == 0", "undeclared reference to 'findings_about.ownr'"),
        ("size(findings_about) == 0", "write findings_about with the name of a field"),
    ],
)
def test_a_misspelled_kind_or_field_of_findings_is_refused(text: str, message: str) -> None:
    # A misspelled kind or field would never have a finding, and a rule that requires no finding would always pass.
    with pytest.raises(CelExpressionError, match=message):
        compile_expression(text)
