"""Three truth values: what hangs on evidence that is not there is unknown, and everything else is not."""

from __future__ import annotations

import pytest

from verifywise_mlflow.compliance.evidence import environment, evidence_of
from verifywise_mlflow.compliance.expressions import EvaluationError, ExpressionError, compiled
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow_tests.compliance.records import record_with

TRUE, FALSE, UNKNOWN = 'model_name == "example"', 'model_name == "other"', 'owner == "me"'


def holds(expression: str, record: CanonicalRecord) -> bool | None:
    return compiled(expression).holds(evidence_of(record).activation())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"{TRUE} && {UNKNOWN}", None),
        (f"{UNKNOWN} && {TRUE}", None),
        (f"{FALSE} && {UNKNOWN}", False),
        (f"{UNKNOWN} && {FALSE}", False),
        (f"{TRUE} || {UNKNOWN}", True),
        (f"{UNKNOWN} || {TRUE}", True),
        (f"{FALSE} || {UNKNOWN}", None),
        (f"{UNKNOWN} || {FALSE}", None),
        (f"{UNKNOWN} && {UNKNOWN}", None),
        (f"!({UNKNOWN})", None),
        (f"{UNKNOWN} ? true : true", None),
    ],
)
def test_and_or_and_not_follow_kleene(expression: str, expected: bool | None) -> None:
    assert holds(expression, record_with()) is expected


@pytest.mark.parametrize(
    "expression",
    [
        'owner != ""',
        "metrics.accuracy > 0.5",
        "size(evidence_files) > 0",
        'evaluation_tags["suite"] == "a"',
        "runtime_environment.flavors.sklearn > 1",
        "runtime_environment.reproducible",
        "runtime_environment.flavors.sklearn",
        "dataset_reference[1].name == 'b'",
        'dataset_reference.exists(d, d.digest == "x")',
        'created_at < timestamp("2026-01-01T00:00:00Z")',
    ],
)
def test_a_value_that_is_not_there_is_unknown(expression: str) -> None:
    # The library tells missing values from errors by its words alone; this holds it to them.
    record = record_with(
        evaluation_tags={"other": "a"},
        runtime_environment={"flavors": {"sklearn": None}},
        dataset_reference=[{"name": "a"}],
    )

    assert holds(expression, record) is None


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("metrics.accuracy > 0.5", "No matching overloads"),
        ("version_number / (version_number - 1) == 1", "divide by zero"),
        ("owner.matches(model_name)", "invalid regular expression"),
        ("hyperparameters.a", "of type STRING, neither true nor false"),
    ],
)
def test_a_value_of_a_wrong_type_is_an_error(expression: str, complaint: str) -> None:
    record = record_with(metrics={"accuracy": "high"}, hyperparameters={"a": "yes"}, owner="me", model_name="(")

    with pytest.raises(EvaluationError, match=complaint):
        holds(expression, record)


def test_a_customers_text_cannot_pass_for_the_librarys_words() -> None:
    record = record_with(owner="UNKNOWN: No value with name", model_name="NOT_FOUND: Key not found in map(")

    with pytest.raises(EvaluationError):
        holds("owner.matches(model_name)", record)


def test_what_the_library_refuses_to_convert_is_an_error() -> None:
    with pytest.raises(EvaluationError):
        compiled(UNKNOWN).holds(environment().Activation({"owner": "\ud800"}))


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('owner != "" && owner != model_name', ("owner", "model_name")),
        ("runtime_environment.reproducible", ("runtime_environment.reproducible",)),
        ("size(runtime_environment.sources) > 0", ("runtime_environment.sources",)),
        ('regulatory_scope.matches("owner")', ("regulatory_scope",)),
        ("has(stated.owner)", ("owner",)),
        ('business_purpose == "metrics" // of the owner', ("business_purpose",)),
        ("metrics.exists(name, metrics[name] > 0.0)", ("metrics",)),
        ("true", ()),
    ],
)
def test_an_expression_knows_what_it_looks_at(text: str, paths: tuple[str, ...]) -> None:
    assert compiled(text).paths == paths


@pytest.mark.parametrize("text", ["", "owner ==", "ownr", "owner > 3", "owner", "has(stated.ownr)", "size(metrics)"])
def test_a_text_that_is_no_truth_about_a_record_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compiled(text)
