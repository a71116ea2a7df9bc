"""A rule with a budget is evaluated in this process only if it provably costs little, with the same verdict."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from types import FrameType

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from verifywise_mlflow.compliance import rule_budget
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.cel_bound import CostBound, Size, measured_size
from verifywise_mlflow.compliance.rules.cel_closures import NO_SCOPE, closure_of
from verifywise_mlflow.compliance.rules.cel_expression import CelExpressionError, compile_expression
from verifywise_mlflow.compliance.rules.cel_pieces import PiecewiseExpression
from verifywise_mlflow.compliance.rules.cel_tree import Tree
from verifywise_mlflow.compliance.rules.cel_variables import CelValue, Subject, environment
from verifywise_mlflow.compliance.rules.field_paths import Path, value_at
from verifywise_mlflow.compliance.rules.policy import Policy
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.normalizer.unread_object import UnreadObject
from verifywise_mlflow_tests.compliance.cel_strategies import EXPRESSIONS, RECORDS
from verifywise_mlflow_tests.compliance.records import record_with
from verifywise_mlflow_tests.compliance.rules import rule_with

NAMES = [f"file{number}" for number in range(100)]


def sizes_in(variables: Mapping[str, CelValue]) -> Callable[[Path], Size]:
    def size_of(path: Path) -> Size:
        exists, value = value_at(path, variables)
        return measured_size(value, rule_budget.MAX_STEPS) if exists else Size()

    return size_of


def steps(text: str, **variables: CelValue) -> float:
    return compile_expression(text).bound.steps(sizes_in(variables))


def calls_of(evaluate: Callable[[], object]) -> int:
    """Return how many Python functions an evaluation calls."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        evaluate()
    finally:
        sys.setprofile(None)
    return calls


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, RECORDS)
def test_an_evaluation_takes_at_most_as_many_steps_as_its_bound(text: str, record: dict[str, CelValue]) -> None:
    try:
        expression = environment().compile(text)
    except RuntimeError:  # the library's compiler refuses its types
        assume(False)
    root = Tree(expression.serialize()).root
    closure, bound = closure_of(root), CostBound(root)

    # A node calls its function, and that at most two of cel_operations.py.
    assert calls_of(lambda: closure(record, NO_SCOPE)) <= 1 + 3 * bound.steps(sizes_in(record))


def test_a_bound_grows_with_the_entries_of_a_list_and_with_the_longest_text() -> None:
    condition = "evidence_files.all(f, f.path != owner)"
    few = steps(condition, owner="me", evidence_files=[{"path": "a"}] * 10)

    assert few < 100
    assert steps(condition, owner="me", evidence_files=[{"path": "a"}] * 1_000) > 50 * few
    assert steps(condition, owner="x" * 100_000, evidence_files=[{"path": "a"}] * 10) > 50 * few


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("evidence_files.all(f, f.path in incomplete)", {"evidence_files": ["a"] * 500, "incomplete": ["b"] * 500}),
        ("evidence_files.all(f, owner.contains(f))", {"evidence_files": ["a" * 9_000] * 9, "owner": "a" * 20_000}),
        ('owner.matches("(x{1,500}){1,2}y")', {"owner": "x" * 5_000}),
        (r'owner.matches("\\pL{1,30}")', {"owner": "a"}),
        (
            "evidence_files.exists(f, [" + ", ".join(["'a'"] * 600) + "].exists(x, f == x))",
            {"evidence_files": [1] * 100},
        ),
        ("evidence_files.filter(f, true).all(f, f != owner)", {"evidence_files": [{"a": "b"}] * 20_000}),
        ("evidence_files.all(f, f.a == owner)", {"evidence_files": [{"a": [1] * 200_000}]}),
    ],
)
def test_what_may_take_long_exceeds_the_budget(text: str, variables: dict[str, CelValue]) -> None:
    assert steps(text, **variables) > rule_budget.MAX_STEPS


@pytest.mark.parametrize(
    "text",
    [
        "[[1]].map(x, [x]).exists(y, true)",
        "evidence_files.exists(f, incomplete.exists(i, i == f))",
        "(owner == 'a' ? evidence_files : incomplete).exists(x, true)",
        "owner.matches(model_name)",
    ],
)
def test_what_no_policy_may_contain_has_no_bound(text: str) -> None:
    root = Tree(environment().compile(text).serialize()).root

    assert CostBound(root).steps(sizes_in({})) == math.inf
    with pytest.raises(CelExpressionError):
        compile_expression(text)


TEXTS = st.sampled_from(["", "a", "file1", "x" * 300, "é"])
PATHS = st.lists(st.fixed_dictionaries({"path": TEXTS}, optional={"kind": TEXTS}), max_size=4)
REQUIREMENTS = st.sampled_from(
    [
        "evidence_files.all(f, f.path.startsWith('file'))",
        "evidence_files.exists(f, f.kind == 'a' || f.path == owner)",
        "evidence_files.exists_one(f, f.path == 'a')",
        "evidence_files.filter(f, has(f.kind)).all(f, f.kind != '')",
        "evidence_files.all(f, string(f.path) != 'a')",
        "owner.matches('^[a-z]+$') && evidence_files.exists(f, f.path != owner)",
        "evidence_files.all(f, f.kind / 2 == 1)",
        "findings.all(f, f.count < 3) && owner != 'a'",
    ]
)
VALUES = st.sampled_from(
    ["evidence_files.map(f, f.path)", "evidence_files.filter(f, f.path == 'a')", "findings.map(f, string(f.kind))"]
)
SUBJECTS = st.builds(
    lambda files, owner, is_unread, kinds: Subject(
        record_with(evidence_files=files or None, owner=owner),
        [UnreadObject("run", ("a run was not read",), ("owner", "evidence_files"))] if is_unread else [],
        [{"kind": kind, "field": None, "sentence": "It.", "count": 2} for kind in kinds],
    ),
    PATHS,
    TEXTS,
    st.booleans(),
    st.lists(TEXTS, max_size=2),
)


def quoting_rule(requires: str, applies: str, value: str) -> Rule:
    sentence = "Found {value}."
    return rule_with(
        f"{requires} && size(evidence_files) >= 0 && size(findings) >= 0",
        applies=applies,
        reason_values={"value": value},
        reasons={ReasonCase.FAIL: sentence, ReasonCase.PASS: sentence},
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(quoting_rule, REQUIREMENTS, st.one_of(st.just("true"), REQUIREMENTS), VALUES), min_size=1, max_size=3
    ),
    st.lists(SUBJECTS, min_size=1, max_size=4),
    st.sampled_from([0, 60, 200, rule_budget.MAX_STEPS]),
)
def test_a_rule_within_its_budget_decides_like_without_one_and_without_the_library(
    rules: list[Rule], subjects: list[Subject], budget: int
) -> None:
    named = [rule.model_copy(update={"id": f"rule-{number}"}) for number, rule in enumerate(rules)]
    policy = Policy(id="own", version=1, title="Own", rules=tuple(named))
    free = Evaluator(policy)
    limited = Evaluator(policy, within_budget=[rule.id for rule in named])
    for subject in subjects:
        expected = {entry.rule_id: (entry.result(), entry.fingerprint()) for entry in free.evaluate_subject(subject)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rule_budget, "MAX_STEPS", budget)
            patch.setattr(PiecewiseExpression, "evaluate", refuse)
            decided = {
                entry.rule_id: (entry.result(), entry.fingerprint()) for entry in limited.evaluate_subject(subject)
            }
        assert decided.items() <= expected.items()


def refuse(*_: object) -> CelValue:
    raise AssertionError("a rule with a budget needed the library in this process")


def test_all_rules_of_a_record_share_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [rule_with("evidence_files.all(f, f.path != '')", rule_id=f"rule-{n}") for n in range(5)]
    policy = Policy(id="own", version=1, title="Own", rules=tuple(rules))
    subject = Subject(record_with(evidence_files=[{"path": name} for name in NAMES]))
    one_rule = steps(rules[0].requires, evidence_files=[{"path": name} for name in NAMES])
    monkeypatch.setattr(rule_budget, "MAX_STEPS", 3.5 * one_rule)

    evaluations = Evaluator(policy, within_budget=[rule.id for rule in rules]).evaluate_subject(subject)

    assert [evaluation.rule_id for evaluation in evaluations] == ["rule-0", "rule-1", "rule-2"]
