"""A translated expression decides like the CEL library, or leaves the decision to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pprint import pformat

import pytest
from hypothesis import assume, given, settings

from verifywise_mlflow.compliance.rules.cel_closures import NO_SCOPE, closure_of
from verifywise_mlflow.compliance.rules.cel_expression import compile_expression
from verifywise_mlflow.compliance.rules.cel_operations import LIBRARY, MISSING, Outcome
from verifywise_mlflow.compliance.rules.cel_pieces import CelEvaluationError, MissingEvidenceError, PiecewiseExpression
from verifywise_mlflow.compliance.rules.cel_tree import Tree
from verifywise_mlflow.compliance.rules.cel_variables import Activation, CelValue, environment
from verifywise_mlflow.compliance.rules.evidence import evidence_of
from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow_tests.compliance.attempts import EVIDENCE, TODAY, attempts, subject_with
from verifywise_mlflow_tests.compliance.cel_strategies import EXPRESSIONS, NOON, RECORDS

ERROR = "error"

TRAPS: Mapping[str, list[tuple[str, bool | str | None]]] = {
    "a value that is not known": [
        ('owner == "me"', None),
        ('owner != "me"', None),
        ('owner in ["me"]', None),
        ("size(owner) == 0", None),
        ("has(metrics.none)", False),
        ("has(hyperparameters.a)", None),
        ("metrics.none > 1.0", None),
        ("evidence_files[9] == 1", None),
    ],
    "null": [
        ("metrics.nothing == 1", False),
        ("metrics.nothing != 1", True),
        ("metrics.nothing == null", True),
        ("has(metrics.nothing)", True),
        ('metrics.nothing in ["a"]', False),
        ("metrics.nothing < 1", None),
        ("1.5 >= metrics.nothing", None),
        ("metrics.nothing + 1 == 2", None),
        ("-metrics.nothing == 1", None),
        ("size(metrics.nothing) > 0", None),
        ('metrics.nothing.endsWith("x")', None),
        ('metrics.nothing.matches("x")', None),
        ("timestamp(metrics.nothing) < today", None),
        ("double(metrics.nothing) < 1.0", None),
        ('"x".endsWith(metrics.nothing)', ERROR),
        ('"x" in metrics.nothing', ERROR),
        ("metrics.nothing.member == 1", ERROR),
        ("!metrics.nothing", ERROR),
        ("metrics.nothing && true", ERROR),
        ("metrics.nothing && false", False),
        ("metrics.nothing || true", True),
        ("metrics.nothing ? true : true", ERROR),
        ("metrics.nothing.exists(x, true)", ERROR),
    ],
    "a value of another type": [
        ('metrics.int == "1"', False),
        ("metrics.yes == 1", False),
        ("metrics.yes == 1.0", False),
        ("metrics.yes != 1", True),
        ("1 in [metrics.yes]", False),
        ('metrics.list == "a"', False),
        ('metrics.int < "1"', ERROR),
        ("metrics.yes < 1", ERROR),
        ("metrics.text && true", ERROR),
        ("metrics.text || true", True),
        ("size(metrics.int) == 1", ERROR),
        ("has(metrics.text.member)", ERROR),
        ("metrics.text ? true : false", ERROR),
    ],
    "numbers": [
        ("metrics.int == 1.0", True),
        ("metrics.int < 1.5", True),
        ("metrics.int in [1.0]", True),
        ("-7 / 2 == -3", True),
        ("7 / -2 == -3", True),
        ("metrics.int / 0 == 1", ERROR),
        ("metrics.half / 0.0 > 1.0", True),
        ("size(metrics.list) - metrics.least == 0", ERROR),
        ("metrics.int + 0.5 == 1.5", ERROR),
        ("metrics.odd == 9007199254740992.0", True),
        ("metrics.odd > 9007199254740992.0", False),
        ("metrics.nan == metrics.nan", False),
        ("metrics.nan <= 1", False),
        ("metrics.nan >= 1", False),
        ("metrics.nan != 1.0", True),
        ("metrics.infinite - metrics.infinite == 0.0", False),
        ("metrics.zero == -0.0", True),
    ],
    "times": [
        ("created_at < today + duration('48h')", True),
        ("(created_at - today).getHours() == 12", True),
        ("(today - created_at - duration('30m')).getHours() == -12", True),
        ("created_at == timestamp('2026-03-01T12:00:00Z')", True),
        ("timestamp(metrics.midnight) == today", True),
        ('metrics.midnight <= "2026-03-01T00:00:00Z"', True),
        ("timestamp(metrics.week) == today", ERROR),
        ("timestamp(metrics.text) == today", ERROR),
        ("timestamp('2026-02-30T00:00:00Z') < today", ERROR),
        ("timestamp('0000-01-01T00:00:00Z') < today", ERROR),
        ("today + duration('999999h') < today", False),
    ],
    "texts": [
        ("size(metrics.emoji) == 1", True),
        ('metrics.emoji > "\\uffff"', True),
        ('metrics.emoji.matches("^.$")', True),
        ('metrics.text.matches("A")', False),
        ('metrics.text.matches("(?i)A")', True),
        ('metrics.line.matches("a$")', False),
        ('metrics.text.contains("")', True),
    ],
    "the side that decides": [
        ("metrics.int / 0 == 1 || true", True),
        ("true || metrics.int / 0 == 1", True),
        ("metrics.int / 0 == 1 && false", False),
        ("false && metrics.int / 0 == 1", False),
        ("metrics.none == 1 || metrics.int / 0 == 1", None),
        ("metrics.int / 0 == 1 || metrics.none == 1", ERROR),
        ("metrics.none == 1 && metrics.int / 0 == 1 && false", False),
        ("metrics.none == 1 ? true : true", None),
        ("true ? true : metrics.int / 0 == 1", True),
        ("false ? metrics.none == 1 : true", True),
    ],
    "macros": [
        ("metrics.list.exists(x, x / 0 == 1 || x == 2)", True),
        ("metrics.list.exists(x, x == 3)", False),
        ("metrics.list.exists(x, metrics.none == x)", None),
        ("metrics.list.all(x, metrics.none == x || x == 1)", None),
        ("metrics.list.all(x, x < 2 && metrics.none == x)", False),
        ("metrics.list.exists(x, x)", ERROR),
        ("metrics.list.exists_one(x, x == 2)", True),
        ("metrics.list.filter(x, x == 2) == [2]", True),
        ("size(metrics.list.filter(x, x > 0)) == 2", True),
        ("size(metrics.list.filter(x, metrics.none == x)) == 2", None),
        ("size(metrics.list.map(x, x == 2, x / 0)) == 2", ERROR),
        ('metrics.exists(x, x == "int")', True),
        ("metrics.int.exists(x, true)", ERROR),
        ("metrics.none.exists(x, true)", None),
        ("[].all(x, false)", True),
        ("metrics.list.exists(x, [1, 2].exists(y, y == x && x == 2))", True),
        ("metrics.list.exists(x, [2].exists(x, x == 2))", True),
        ("metrics.list.exists(owner, owner == 2)", True),
    ],
}
METRICS: dict[str, CelValue] = {
    "nothing": None,
    "int": 1,
    "half": 0.5,
    "zero": 0.0,
    "least": -(2**63),
    "odd": 2**53 + 1,
    "nan": math.nan,
    "infinite": math.inf,
    "yes": True,
    "list": [1, 2],
    "text": "a",
    "line": "a\n",
    "emoji": "\U0001f600",
    "midnight": "2026-03-01T00:00:00Z",
    "week": "2026-W09-7T00:00:00Z",
}
VARIABLES: dict[str, CelValue] = {
    "metrics": METRICS,
    "created_at": NOON,
    "today": NOON.replace(hour=0),
    "evidence_files": [1],
    "stated": {},
}


@lru_cache(maxsize=1_000)
def parsed(text: str) -> tuple[PiecewiseExpression, Tree]:
    expression = environment().compile(text)
    tree = Tree(expression.serialize())
    return PiecewiseExpression(expression, tree), tree


def by_library(text: str, variables: Mapping[str, CelValue]) -> CelValue:
    try:
        return parsed(text)[0].evaluate(Activation(variables))
    except MissingEvidenceError:
        return "missing"
    except CelEvaluationError:
        return ERROR


def translated(text: str, variables: Mapping[str, CelValue]) -> Outcome:
    return closure_of(parsed(text)[1].root)(variables, NO_SCOPE)


def agree(outcome: Outcome, expected: CelValue) -> bool:
    if outcome is LIBRARY or isinstance(outcome, timedelta):
        return True
    return expected == "missing" if outcome is MISSING else pformat(outcome) == pformat(expected)  # NaN is equal, too


@pytest.mark.parametrize(("text", "expected"), [trap for traps in TRAPS.values() for trap in traps])
def test_a_trap_of_the_language_is_decided_like_the_library_does(text: str, expected: bool | str | None) -> None:
    try:
        holds: bool | str | None = compile_expression(text).holds(Activation(VARIABLES))
    except CelEvaluationError:
        holds = ERROR

    assert holds == expected
    assert agree(translated(text, VARIABLES), by_library(text, VARIABLES))


@pytest.mark.parametrize("variables", [{"created_at": NOON.replace(tzinfo=None)}, {"created_at": "2026"}, {"owner": 1}])
def test_a_variable_of_an_unexpected_type_is_left_to_the_library(variables: dict[str, CelValue]) -> None:
    text = 'created_at < timestamp("2026-01-01T00:00:00Z")' if "created_at" in variables else 'owner == "me"'

    assert translated(text, variables) is LIBRARY


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, RECORDS)
def test_a_random_expression_is_decided_like_the_library_does(text: str, record: dict[str, CelValue]) -> None:
    try:
        parsed(text)
    except RuntimeError:  # the library's compiler refuses its types
        assume(False)

    assert agree(translated(text, record), by_library(text, record))


def test_every_attempt_is_decided_like_the_library_does() -> None:
    rules = {rule.id: rule for rule in default_policy().rules}

    for attempt in attempts():
        subject = subject_with({**EVIDENCE, **attempt.base, **attempt.changes})
        activation = evidence_of(subject, thresholds=default_policy().thresholds, today=TODAY).activation()
        rule = rules[attempt.rule]
        for condition in rule.expressions.values():
            assert condition.holds(activation) is condition.holds_by_library(activation), (attempt, condition.text)
        placeholders = [
            p for case in rule.reason_templates.values() for template in case for p in template.placeholders
        ]
        for value in placeholders:
            assert value.value(activation) == value.value_by_library(activation), (attempt, value.text)


def test_the_default_policy_needs_the_library_for_no_condition_on_a_usual_record() -> None:
    # Otherwise an evaluation would take ten times as long, with the same verdicts.
    activation = evidence_of(subject_with(EVIDENCE), thresholds=default_policy().thresholds, today=TODAY).activation()

    left = [
        expression.text
        for rule in default_policy().rules
        for expression in rule.expressions.values()
        if translated(expression.text, activation.variables) is LIBRARY
    ]

    assert left == []
