"""The dry run predicts what the next sync changes, version by version."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifywise_mlflow.compliance.environment_facts.environment_facts import load_environment_facts
from verifywise_mlflow.persistence.pg_text_codec import unescape
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.policy_dry_run import dry_run, proposed_rules
from verifywise_mlflow.services.tenant_policies import InvalidPoliciesError
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    tenant_with_policies,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import NOON, day
from verifywise_mlflow_tests.support.syncing import rows

Outcomes = dict[tuple[str, int, str | None], str]
"""Model, version and rule to the verdict; without a rule, the badge."""

NO_FACTS = load_environment_facts(None, None)


def outcomes(store: Store) -> Outcomes:
    verdicts, badges = rows(store, "compliance_results"), rows(store, "compliance_badges")
    result: Outcomes = {
        (unescape(str(verdict["model_name"])), int(str(verdict["version_number"])), str(verdict["rule_id"])): str(
            verdict["verdict"]
        )
        for verdict in verdicts
    }
    return result | {
        (unescape(str(verdict["model_name"])), int(str(verdict["version_number"])), None): str(verdict["badge"])
        for verdict in badges
    }


def changed_outcomes(before: Outcomes, after: Outcomes) -> set[tuple[object, ...]]:
    all_keys = before.keys() | after.keys()
    return {(*key, before.get(key), after.get(key)) for key in all_keys if before.get(key) != after.get(key)}


CURRENT_RULES = (
    rule_yaml("dropped", "owner != ''"),
    rule_yaml("reworded", "owner == 'ada'"),
    rule_yaml("figured", "version_number < thresholds.most"),
    rule_yaml("dated", "created_at < today"),
)
PROPOSED_RULES = (
    rule_yaml("reworded", "owner.contains('%')", version=2, applies='lifecycle_stage == "production"'),
    rule_yaml("figured", "version_number < thresholds.most"),
    rule_yaml("dated", "today < timestamp('2026-03-02T12:00:00Z') && has(stated.owner)"),
    # It divides by zero if an owner has three letters.
    rule_yaml("broken", "1 / (size(owner) - 3) >= 0"),
)
"""Four versions, so that the examples of each change name every version."""


def test_the_dry_run_predicts_exactly_what_the_next_sync_changes_for_any_names(store: Store, tmp_path: Path) -> None:
    for name, number, owner in (
        ("a\x00b\n[red]%s'\"", 1, "ada"),
        ("100%_\\", 2, "50% of us"),
        ("模型\u202e", 30, "\ud800"),
        ("churn", 4, "bob"),
    ):
        store_record(store, name, number, NOON, stage="Production" if number % 2 == 0 else "Staging", owner=owner)
    policy = write_policy(tmp_path / "ours.yaml", *CURRENT_RULES, thresholds="{most: 10}")
    tenant = tenant_with_policies(policies=[str(policy)])
    evaluate(tenant, store, day(1))
    before = outcomes(store)

    new = write_policy(tmp_path / "new.yaml", *PROPOSED_RULES, version=2, thresholds="{most: 10}")
    rules = proposed_rules(tenant, [new], replaces_all=False, thresholds={"most": 3.0})
    result = dry_run(store, "acme", rules, NO_FACTS, day(2).date())

    assert outcomes(store) == before
    evaluate(tenant_with_policies(policies=[str(new)], thresholds={"most": 3}), store, day(2))
    actual = changed_outcomes(before, outcomes(store))
    predicted = {
        (name, number, move.rule_id, move.before, move.after)
        for move, keys in result.examples.items()
        for name, number in keys
    }
    assert predicted == actual
    assert {after for *_, after in actual} >= {"pass", "fail", "error", "not applicable", None}
    assert (result.evaluated_count, result.stale_count, result.changes.total()) == (4, 0, len(actual))
    second_run = dry_run(store, "acme", rules, NO_FACTS, day(2).date())
    assert not second_run.changes


def test_a_threshold_alone_can_be_tried_and_an_unknown_one_is_refused(store: Store, tmp_path: Path) -> None:
    store_record(store, "fraud", 5, NOON)
    policy = write_policy(tmp_path / "ours.yaml", CURRENT_RULES[2], thresholds="{most: 10}")
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)], thresholds={"most": 9})
    evaluate(tenant, store, day(1))

    rules = proposed_rules(tenant, [], replaces_all=False, thresholds={"most": 5.0})
    result = dry_run(store, "acme", rules, NO_FACTS, day(1).date())

    assert {(move.rule_id, move.before, move.after) for move in result.changes} == {
        ("figured", "pass", "fail"),
        (None, "evidence complete", "failing"),
    }
    with pytest.raises(InvalidPoliciesError, match="no policy has the threshold 'moat'"):
        proposed_rules(tenant, [], replaces_all=False, thresholds={"moat": 5.0})


def test_two_proposed_policies_with_the_same_id_are_refused(tmp_path: Path) -> None:
    tenant = tenant_with_policies(policies=[str(write_policy(tmp_path / "ours.yaml", CURRENT_RULES[0]))])
    proposals = [
        write_policy(tmp_path / f"{number}.yaml", rule_yaml(f"rule-{number}", "owner != ''")) for number in range(2)
    ]

    with pytest.raises(InvalidPoliciesError, match="two policies have the id 'ours'"):
        proposed_rules(tenant, proposals, replaces_all=False)


def test_a_policy_without_the_tenants_frameworks_is_refused(tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "ours.yaml", CURRENT_RULES[0])  # it refers to NIST AI RMF alone
    tenant = tenant_with_policies(default_policy=False, policies=[str(policy)], frameworks=["EU AI Act"])

    with pytest.raises(InvalidPoliciesError, match="no rule refers to the framework 'EU AI Act'"):
        proposed_rules(tenant, [policy], replaces_all=False)
