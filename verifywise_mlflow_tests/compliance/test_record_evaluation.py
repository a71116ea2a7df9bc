"""A cached decision is used for equal inputs only, so no record gets the verdict or the reason of another record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.record_evaluation import MAX_KEPT_DECISIONS, Decisions
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.policy import Policy, default_policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.verdict import RuleResult
from verifywise_mlflow_tests.compliance.attempts import EVIDENCE, TODAY, attempts, subject_with
from verifywise_mlflow_tests.compliance.records import record_with
from verifywise_mlflow_tests.compliance.rules import rule_with

READS_OWNER = rule_with("owner != ''", rule_id="other")
READS_RISK = rule_with("risk_category != ''", rule_id="other")


def policy_of(*rules: Rule) -> Policy:
    return Policy(id="own", version=1, title="Own", rules=rules)


def outcomes(policy: Policy, subjects: Sequence[Subject]) -> list[list[tuple[RuleResult, str]]]:
    evaluator = Evaluator(policy, today=TODAY)
    return [[(rule.result(), rule.fingerprint()) for rule in evaluator.evaluate_subject(of)] for of in subjects]


def without_kept_decisions(
    policy: Policy, subjects: Sequence[Subject], monkeypatch: pytest.MonkeyPatch
) -> list[list[tuple[RuleResult, str]]]:
    with monkeypatch.context() as patch:
        patch.setattr(Decisions, "find", lambda *_: None)
        return outcomes(policy, subjects)


def placeholder(text: str) -> Mapping[str, Mapping[str, object]]:
    return {"owner": {"source": "version tag", "key": "owner", "raw": text, "state": "placeholder"}}


LOOK_ALIKES: Mapping[str, tuple[Policy, Subject, Subject]] = {
    "a lacking member, and a lacking value": (
        policy_of(rule_with("has(runtime_environment.python_version)")),
        Subject(record_with(runtime_environment={"reproducible": True})),
        Subject(record_with(runtime_environment=None)),
    ),
    "texts that are no value": (
        policy_of(rule_with("true", evidenced="has(stated.owner)"), READS_OWNER),
        Subject(record_with(), origins=placeholder("TBD")),
        Subject(record_with(), origins=placeholder("n/a")),
    ),
    "values that are not recognized": (
        policy_of(rule_with("true", evidenced="has(stated.risk_category)"), READS_RISK),
        Subject(record_with(risk_category="tier 1")),
        Subject(record_with(risk_category="tier 2")),
    ),
    "numbers of different types": (
        policy_of(rule_with("size(string(metrics.a)) == 1")),
        Subject(record_with(metrics={"a": 1})),
        Subject(record_with(metrics={"a": 1.5})),
    ),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_records_that_only_look_alike_get_their_own_results(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, first, second = LOOK_ALIKES[name]
    subjects = [first, second, first]

    expected = without_kept_decisions(policy, subjects, monkeypatch)

    assert outcomes(policy, subjects) == expected
    assert expected[0] == expected[2] != expected[1]


def test_environments_that_python_calls_equal_are_stored_as_they_are() -> None:
    policy = policy_of(rule_with("runtime_environment.packages.exists(p, p.pinned == true)"))
    environments: list[Json] = [
        {"packages": [{"name": "numpy", "pinned": pinned}]} for pinned in (True, 1, 1.0, True, 0.0, -0.0, False)
    ]
    subjects = [Subject(record_with(runtime_environment=environment)) for environment in environments]

    one_by_one = [of_record for subject in subjects for of_record in outcomes(policy, [subject])]

    assert outcomes(policy, subjects) == one_by_one
    assert len({result.values_json for [(result, _)] in one_by_one}) == 5, "0.0 and -0.0 are stored alike"


def test_every_attempt_gets_the_results_that_it_gets_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = [subject_with({**EVIDENCE, **attempt.base, **attempt.changes}) for attempt in attempts()]

    assert outcomes(default_policy(), subjects) == without_kept_decisions(default_policy(), subjects, monkeypatch)


def test_equal_inputs_are_decided_once() -> None:
    evaluator = Evaluator(policy_of(READS_OWNER), today=TODAY)
    first, second, other = (
        evaluator.evaluate_subject(Subject(record_with(owner=owner, model_name=model)))[0].result()
        for owner, model in (("me", "a"), ("me", "b"), ("you", "c"))
    )

    assert first is second
    assert first != other


def test_inputs_that_never_repeat_are_not_kept() -> None:
    evaluator = Evaluator(policy_of(READS_OWNER), today=TODAY)
    (rule,), _ = evaluator._compilation

    for number in range(MAX_KEPT_DECISIONS + 1):
        evaluator.evaluate_subject(Subject(record_with(owner=f"owner {number}")))
        assert len(rule.decisions._by_inputs) <= MAX_KEPT_DECISIONS

    assert not rule.decisions.are_useful
    assert rule.decisions._by_inputs == {}
