"""The sentences and conditions of a rule, and errors in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.compliance.rules.policy import PolicyError
from verifywise_mlflow_tests.compliance.policy_texts import HEAD, RULE, load

REASONED = (
    HEAD
    + RULE
    + """\
    reason_values:
      given: "[owner][0]"
    reasons:
      pass: The owner is {given}.
      not evidenced: No owner is recorded. Add the tag `owner`.
"""
)


def test_a_rule_may_state_the_sentences_of_its_outcomes(tmp_path: Path) -> None:
    (rule,) = load(tmp_path, REASONED).rules

    assert {case.value: text for case, text in rule.reasons.items()} == {
        "pass": "The owner is {given}.",
        "not evidenced": "No owner is recorded. Add the tag `owner`.",
    }


WITH_CONDITION = (
    HEAD
    + RULE
    + """\
    conditions:
      - holds: owner.startsWith("team-")
        otherwise: not evidenced
        reason: The owner {owner} is no team.
"""
)


@pytest.mark.parametrize(
    ("replacement", "original", "message"),
    [
        pytest.param(
            "ownr.starts", "owner.starts", "18: rule 'owner': conditions.0.holds: undeclared", id="expression"
        ),
        pytest.param(
            "otherwise: pass",
            "otherwise: not evidenced",
            "19: rule 'owner': conditions.0.otherwise: Input",
            id="verdict",
        ),
        pytest.param(
            "{description}", "{owner}", "condition 1: the rule does not read description: quote only", id="sentence"
        ),
        pytest.param(
            "size(owner) < thresholds.longest",
            'owner.startsWith("team-")',
            "18: rule 'owner': conditions.0.holds: the policy has no threshold 'longest'",
            id="threshold",
        ),
    ],
)
def test_an_error_in_a_condition_names_its_location(
    tmp_path: Path, replacement: str, original: str, message: str
) -> None:
    with pytest.raises(PolicyError) as raised:
        load(tmp_path, WITH_CONDITION.replace(original, replacement))

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("replacement", "original", "message"),
    [
        pytest.param(
            "passed: ", "pass: The", "20: rule 'owner': reasons.passed: Input should be 'pass', ", id="outcome"
        ),
        pytest.param(
            "{givn}", "{given}", "19: rule 'owner': reasons: pass: {givn} is neither a named value", id="unknown value"
        ),
        pytest.param(
            "{description}",
            "{given}",
            "19: rule 'owner': reasons: pass: the rule does not read description: quote only",
            id="a value that the rule does not read",
        ),
        pytest.param("{given", "{given}", "19: rule 'owner': reasons: pass: a brace has no partner", id="brace"),
        pytest.param(
            "`owner`", "`owner`.", "19: rule 'owner': reasons: not evidenced: the sentence has no full stop", id="stop"
        ),
        pytest.param(
            "{owner}", "{given}", "19: rule 'owner': reasons: no sentence quotes the value 'given'", id="unused"
        ),
        pytest.param("[ownr]", "[owner]", "18: rule 'owner': reason_values.given: undeclared", id="expression"),
    ],
)
def test_an_error_in_a_sentence_names_its_location(
    tmp_path: Path, replacement: str, original: str, message: str
) -> None:
    with pytest.raises(PolicyError) as raised:
        load(tmp_path, REASONED.replace(original, replacement))

    assert f"{tmp_path / 'ours.yaml'}:{message}" in str(raised.value)
