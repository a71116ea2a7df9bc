"""Which values count as an assessment, as passed and as a number, in any response that a server may send."""

from __future__ import annotations

import json
import math

import pytest

from verifywise_mlflow.connector.models import AssessmentCounts, ModelAssessments
from verifywise_mlflow.connector.trace_assessments import MAX_NAMES, assessed_trace, count_assessments
from verifywise_mlflow.connector.tracking_reader import TrackingReader
from verifywise_mlflow_tests.connector.readers import settings_for
from verifywise_mlflow_tests.support.hostile_server import hostile_server, json_response, respond_with
from verifywise_mlflow_tests.support.traces import assessment


def counted(*assessments: dict[str, object]) -> ModelAssessments:
    """Return the counts of one trace."""
    numbered = [{"assessment_id": f"a-{number}", **given} for number, given in enumerate(assessments)]
    trace = {"trace_id": "tr-1", "trace_metadata": {"mlflow.modelId": "m-1"}, "assessments": numbered}
    (of_model,) = count_assessments([assessed_trace(trace)])
    return of_model


def the_only(*assessments: dict[str, object]) -> AssessmentCounts:
    (counts,) = counted(*assessments).counts
    return counts


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "passed"),
        (" Yes ", "passed"),
        (False, "failed"),
        ("no", "failed"),
        (0, "numbers"),
        (-1.5, "numbers"),
        ("", "others"),
        ("n/a", "others"),
        ("true", "others"),
        ([True], "others"),
        ({"pass": True}, "others"),
        (math.nan, "others"),
        (math.inf, "others"),
        (10**400, "others"),
        (None, "errors"),
    ],
)
def test_a_value_counts_once(value: object, expected: str) -> None:
    counts = the_only(assessment("correct", value))

    kinds = ("passed", "failed", "numbers", "others", "errors")
    assert {kind: getattr(counts, kind) for kind in kinds} == dict.fromkeys(kinds, 0) | {expected: 1}


def test_a_failed_scorer_has_assessed_nothing() -> None:
    failed = {**assessment("correct", value=True), "feedback": {"value": True, "error": {"error_code": "TIMEOUT"}}}

    assert (the_only(failed).errors, the_only(failed).passed) == (1, 0)


def test_replaced_assessments_expectations_and_issues_assess_nothing() -> None:
    expectation: dict[str, object] = {"assessment_name": "answer", "expectation": {"value": "Paris"}}
    of_model = counted(
        {**assessment("correct", value=True), "valid": False},
        expectation,
        {"assessment_name": "issue-1", "issue": {"issue_name": "slow"}},
        assessment("correct", value=False),
    )

    assert [(counts.count, counts.failed) for counts in of_model.counts] == [(1, 1)]
    assert (of_model.expectations, of_model.traces) == (1, 1)


def test_people_are_counted_and_not_named() -> None:
    of_model = counted(*(assessment("kind", value=True, source="HUMAN", by=name) for name in ("ada", "bob", "ada")))

    assert (of_model.counts[0].count, of_model.counts[0].sources) == (3, 2)
    assert "ada" not in repr(of_model)


def test_names_are_bounded_and_the_most_frequent_ones_are_listed() -> None:
    names = [f"name {number}" for number in range(MAX_NAMES + 5)] + ["frequent", "frequent", "x" * 9_000]
    of_model = counted(*(assessment(name, value=True) for name in names))

    assert (of_model.counts[0].name, len(of_model.counts), of_model.names_left_out) == ("frequent", MAX_NAMES, 7)
    assert max(len(counts.name) for counts in of_model.counts) <= 250


def test_numbers_at_the_limit_have_a_finite_mean() -> None:
    counts = the_only(*(assessment("huge", 1.7e308) for _ in range(3)))

    assert (counts.least, counts.mean, counts.most) == (1.7e308, 1.7e308, 1.7e308)


def test_the_digest_changes_with_a_value_and_not_with_the_order_of_traces() -> None:
    def trace(number: int, value: object) -> dict[str, object]:
        given = {"assessment_id": f"a-{number}", **assessment("correct", value)}
        return {"trace_id": f"tr-{number}", "trace_metadata": {"mlflow.modelId": "m-1"}, "assessments": [given]}

    def digest(*traces: dict[str, object]) -> str:
        return count_assessments(map(assessed_trace, traces))[0].digest

    first, second = trace(1, value=True), trace(2, value=True)
    assert digest(first, second) == digest(second, first) == digest(first, second, first)
    assert digest(first, second) != digest(first, trace(2, value=False))


@pytest.mark.parametrize(
    "malformed",
    [
        {"assessments": "none"},
        {"assessments": [7, None, {}, {"assessment_id": "a", "feedback": 3}]},
        {"trace_metadata": ["m-1"], "assessments": [{"assessment_id": "a", **assessment("correct", value=True)}]},
        {"trace_metadata": {"mlflow.modelId": "m" * 10_000}, "assessments": [assessment("correct", value=True)]},
        {"assessments": [{"assessment_id": "a", **assessment("x", value=True), "source": "me", "last_update_time": 7}]},
    ],
    ids=lambda fields: json.dumps(fields)[:30],
)
def test_what_is_malformed_is_left_out(malformed: dict[str, object]) -> None:
    assert count_assessments([assessed_trace({"trace_id": "tr-1", **malformed})]) == ()


@pytest.mark.parametrize("token", [5, 0, False, []])
def test_a_page_token_that_is_not_text_leaves_the_counts_incomplete(token: object) -> None:
    with hostile_server(respond_with(json_response({"traces": [], "next_page_token": token}))) as server:
        reader = TrackingReader(settings_for(server.uri))

        assert not reader.trace_assessments(["1"]).is_complete
