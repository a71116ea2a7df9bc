"""Several policies as one: what they ask together, and what does not go together."""

from __future__ import annotations

import pytest

from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError
from verifywise_mlflow.compliance.rules.ruleset import merged
from verifywise_mlflow_tests.compliance.test_evaluation import rule


def policy(policy_id: str, *rule_ids: str, requires: str = 'owner == "me"', **thresholds: float) -> Policy:
    rules = tuple(rule(requires, rule_id=rule_id) for rule_id in rule_ids)
    return Policy(id=policy_id, version=1, title="A policy", thresholds=thresholds, rules=rules)


def test_each_rule_keeps_its_policy_and_a_tenant_puts_its_figures_in_the_policys_place() -> None:
    rules = merged([policy("a", "one", most=1), policy("b", "two", "three", least=2)], {"least": 7})

    assert [(one.id, rules.policy_of[one.id].id) for one in rules.rules] == [("one", "a"), ("two", "b"), ("three", "b")]
    assert rules.thresholds == {"most": 1, "least": 7}


@pytest.mark.parametrize(
    ("policies", "thresholds", "frameworks", "complaint"),
    [
        ([policy("a", "one"), policy("b", "one")], {}, (), "'one' is in the policy 'a' and in 'b'"),
        ([policy("a", "one", most=1), policy("b", "two", most=2)], {}, (), "two policies give the threshold 'most'"),
        ([policy("a", "one", requires="version_number > thresholds.least")], {}, (), "compares with thresholds.least"),
        ([policy("a", "one", most=1)], {"moost": 2}, (), "no policy has the threshold 'moost'; there are: most"),
        ([policy("a", "one")], {}, ("ISO 9001",), "no rule refers to the framework 'ISO 9001'"),
        ([], {}, (), "there is no policy"),
    ],
)
def test_what_does_not_go_together_is_refused(
    policies: list[Policy], thresholds: dict[str, float], frameworks: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(PolicyError, match=complaint):
        merged(policies, thresholds, frameworks)


def test_what_decides_verdicts_changes_the_digest_and_the_frameworks_shown_do_not() -> None:
    asked = policy("a", "one", most=1)
    plain = merged([asked])

    assert plain.digest == asked.digest
    assert merged([asked], {"most": 2}).digest != plain.digest
    assert merged([asked, policy("b", "two")]).digest != plain.digest
    assert merged([asked], {}, ("NIST AI RMF",)).digest == plain.digest
