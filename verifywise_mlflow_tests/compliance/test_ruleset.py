"""Several policies merged into one set of rules, and the combinations that are rejected."""

from __future__ import annotations

import pytest

from verifywise_mlflow.compliance.frameworks import shipped_catalog
from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError
from verifywise_mlflow.compliance.rules.ruleset import merge_policies
from verifywise_mlflow_tests.compliance.rules import rule_with

MEASURED = "size(measures.performance) > 0 && version_number > thresholds.most"


def policy(policy_id: str, *rule_ids: str, requires: str = 'owner == "me"', **thresholds: float) -> Policy:
    rules = tuple(rule_with(requires, rule_id=rule_id) for rule_id in rule_ids)
    return Policy(id=policy_id, version=1, title="A policy", thresholds=thresholds, rules=rules)


def test_each_rule_keeps_its_policy_and_a_tenants_thresholds_override_the_policys() -> None:
    rules = merge_policies([policy("a", "one", most=1), policy("b", "two", "three", least=2)], {"least": 7})

    assert [(rule.id, rules.policy_of[rule.id].id) for rule in rules.rules] == [
        ("one", "a"),
        ("two", "b"),
        ("three", "b"),
    ]
    assert rules.thresholds == {"most": 1, "least": 7}


@pytest.mark.parametrize(
    ("policies", "thresholds", "frameworks", "message"),
    [
        ([policy("a", "one"), policy("b", "one")], {}, (), "'one' is in the policies 'a' and 'b': rename one"),
        (
            [policy("a", "one", most=1), policy("b", "two", most=2)],
            {},
            (),
            "two policies define the threshold 'most' differently",
        ),
        (
            [policy("a", "one", requires="version_number > thresholds.least")],
            {},
            (),
            "compares with thresholds.least, which no policy defines",
        ),
        ([policy("a", "one", most=1)], {"moost": 2}, (), r"'moost' \(defined: most\): did you mean 'most'\?"),
        ([policy("a", "one")], {"least_accuracy": 0.8}, (), "no policy has the threshold 'least_accuracy'"),
        ([policy("a", "one", requires=MEASURED, most=1)], {"least_acuracy": 0.8}, (), "did you mean 'least_accuracy'"),
        ([policy("a", "one")], {}, ("ISO 9001",), "no rule refers to the framework 'ISO 9001'"),
        ([], {}, (), "the tenant has no policy"),
    ],
)
def test_conflicting_policies_are_rejected(
    policies: list[Policy], thresholds: dict[str, float], frameworks: tuple[str, ...], message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        merge_policies(policies, thresholds, frameworks)


def test_a_tenant_sets_the_level_of_any_metric_if_a_rule_reads_what_metrics_measured() -> None:
    rules = merge_policies([policy("a", "one", requires=MEASURED, most=1)], {"least_accuracy": 0.8, "most": 2})

    assert rules.levels == {"least_accuracy": 0.8}


def test_the_digest_depends_on_what_determines_verdicts_and_not_on_the_frameworks_shown() -> None:
    single = policy("a", "one", most=1)
    plain = merge_policies([single])

    assert merge_policies([single], {"most": 2}).digest != plain.digest
    assert merge_policies([single, policy("b", "two")]).digest != plain.digest
    assert merge_policies([single], {}, ("NIST AI RMF",)).digest == plain.digest
    assert merge_policies([single], catalog={"NIST AI RMF": shipped_catalog()["NIST AI RMF"]}).digest != plain.digest
