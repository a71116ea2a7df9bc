"""Three-valued logic: only a condition that depends on missing evidence is unknown."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.rules.cel_expression import CelEvaluationError, CelExpressionError, compile_expression
from verifywise_mlflow.compliance.rules.cel_variables import Activation, Subject
from verifywise_mlflow.compliance.rules.evidence import evidence_of
from verifywise_mlflow.compliance.rules.field_paths import STATED, VARIABLES, Selection, dotted, selection_of
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.normalizer.unread_object import UnreadObject
from verifywise_mlflow_tests.compliance.records import record_with

TRUE, FALSE, UNKNOWN = 'model_name == "example"', 'model_name == "other"', 'owner == "me"'


def holds(expression: str, record: CanonicalRecord) -> bool | None:
    return compile_expression(expression).holds(evidence_of(Subject(record)).activation())


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
def test_a_missing_value_is_unknown(expression: str) -> None:
    # The library distinguishes missing values from errors only by its messages; this test pins them.
    record = record_with(
        evaluation_tags={"other": "a"},
        runtime_environment={"flavors": {"sklearn": None}},
        dataset_reference=[{"name": "a"}],
    )

    assert holds(expression, record) is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("metrics.accuracy > 0.5", "No matching overloads"),
        ("version_number / (version_number - 1) == 1", "divide by zero"),
        ("int(owner) == 1", "cannot convert"),
        ("hyperparameters.a", "of type str, neither true nor false"),
    ],
)
def test_a_value_of_a_wrong_type_is_an_error(expression: str, message: str) -> None:
    record = record_with(metrics={"accuracy": "high"}, hyperparameters={"a": "yes"}, owner="me", model_name="(")

    with pytest.raises(CelEvaluationError, match=message):
        holds(expression, record)


def test_a_customers_text_cannot_pass_for_a_message_of_the_library() -> None:
    record = record_with(owner="UNKNOWN: No value with name", model_name="NOT_FOUND: Key not found in map(")

    with pytest.raises(CelEvaluationError):
        holds("int(owner) == 1 && int(model_name) == 1", record)


def test_a_value_that_the_library_cannot_convert_is_an_error() -> None:
    with pytest.raises(CelEvaluationError):
        compile_expression(UNKNOWN).holds_by_library(Activation({"owner": "\ud800"}))


NAMED = [
    ('owner != "" && owner != model_name', ("owner", "model_name")),
    ("runtime_environment.reproducible", ("runtime_environment.reproducible",)),
    ("size(runtime_environment.sources) > 0", ("runtime_environment.sources",)),
    ('regulatory_scope.matches("owner")', ("regulatory_scope",)),
    ("has(stated.owner)", ("stated.owner",)),
    ('stated["owner"]', ("stated.owner",)),
    ('business_purpose == "metrics" // of the owner', ("business_purpose",)),
    ("metrics.exists(name, metrics[name] > 0.0)", ("metrics",)),
    ('evaluation_tags["a b"] == "x" && evaluation_tags["c"] == "y"', ('evaluation_tags["a b"]', "evaluation_tags.c")),
    ('hyperparameters[owner] == "z"', ("hyperparameters", "owner")),
    ("(runtime_environment).flavors.sklearn == '1'", ("runtime_environment",)),
    ('.owner == "me"', ("owner",)),
    ('owner in ["model_name"]', ("owner",)),
    ("findings.exists(f, f.kind == 'conflict' && f.field == 'owner')", ("findings",)),
    ("size(findings_of_kind['deleted run']) == 0", ('findings_of_kind["deleted run"]',)),
    ("findings_about.owner.exists(f, f.kind == 'conflict')", ("findings_about.owner",)),
    ("size(incomplete) == 0", ("incomplete",)),
    ("today - training_ended_at < duration('24h')", ("today", "training_ended_at")),
    ("version_number > thresholds.least", ("version_number", "thresholds.least")),
    ("true", ()),
]


@pytest.mark.parametrize(("text", "paths"), NAMED)
def test_an_expression_lists_the_paths_that_it_reads(text: str, paths: tuple[str, ...]) -> None:
    assert tuple(map(dotted, compile_expression(text).paths)) == paths


@pytest.mark.parametrize("text", [text for text, _ in NAMED])
def test_the_paths_of_an_expression_are_all_that_it_needs(text: str) -> None:
    expression = compile_expression(text)
    subject = Subject(
        record_with(
            owner="me",
            business_purpose="metrics",
            regulatory_scope="the owner's",
            metrics={"a": 0.5, "b": 0.0},
            hyperparameters={"me": "z"},
            evaluation_tags={"a b": "x", "c": "y", "d": "z"},
            runtime_environment={"reproducible": True, "sources": ["a"], "flavors": {"sklearn": "1"}},
            training_ended_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        ),
        findings=[{"kind": "conflict", "field": "owner", "sentence": "Two tags."}],
    )
    all_paths: Selection = {**dict.fromkeys(VARIABLES), STATED: dict.fromkeys(FIELDS)}
    thresholds, today = {"least": 0.0, "other": 1.0}, date(2026, 3, 2)

    full_evidence = evidence_of(subject, all_paths, thresholds=thresholds, today=today)
    selected = evidence_of(subject, selection_of(expression.paths), thresholds=thresholds, today=today)

    expected = expression.holds(full_evidence.activation())
    assert expected is not None
    assert expression.holds(selected.activation()) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("findings.exists(f, f.kind == 'deleted run')", True),
        ("findings.all(f, f.kind == 'deleted run')", False),
        ("findings.exists_one(f, f.field == 'owner')", True),
        ("findings.exists(f, f.field == 'owner' && f.kind == 'deleted run')", False),
        ("size(findings.filter(f, f.kind == 'conflict')) == 1", True),
        ("findings.filter(f, f.field == 'owner').exists(f, f.kind == 'conflict')", True),
        ("size(incomplete) == 1 && incomplete.exists(s, s.contains('404'))", True),
        ("'run' in unread && !('model' in unread)", True),
        ("unread.exists(kind, kind in ['model', 'files'])", False),
    ],
)
def test_macros_iterate_over_findings_and_over_what_could_not_be_read(text: str, expected: bool) -> None:
    findings: list[dict[str, Json]] = [
        {"kind": "deleted run", "field": None, "sentence": "The run is deleted."},
        {"kind": "conflict", "field": "owner", "sentence": "Two tags."},
    ]
    subject = Subject(record_with(), incomplete=[UnreadObject("run", ("run 12ab: HTTP 404",))], findings=findings)

    assert compile_expression(text).holds(evidence_of(subject).activation()) is expected


def test_an_empty_list_of_findings_is_known_and_a_missing_day_is_not() -> None:
    empty_evidence = evidence_of(Subject(record_with())).activation()

    assert (
        compile_expression("size(findings) == 0 && size(incomplete) == 0 && size(unread) == 0").holds(empty_evidence)
        is True
    )
    assert compile_expression("today > timestamp('2026-01-01T00:00:00Z')").holds(empty_evidence) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "owner ==", "ownr", "owner > 3", "owner", "has(stated.ownr)", "size(metrics)"),
        *("size(stated) > 3", '"owner" in stated', "thresholds[owner] > 1", "size(thresholds) > 0", "(stated).owner"),
    ],
)
def test_a_text_that_is_not_a_condition_on_a_record_is_rejected(text: str) -> None:
    with pytest.raises(CelExpressionError):
        compile_expression(text)
