"""Dry run of a policy: evaluates every stored record with proposed rules and reports the changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from verifywise_mlflow.compliance.badge import version_badge
from verifywise_mlflow.compliance.environment_facts.environment_facts import EnvironmentFacts
from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError, default_policy, load_policy
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH
from verifywise_mlflow.persistence.repositories import verdicts
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.sandboxed_evaluation import SandboxedEvaluator
from verifywise_mlflow.services.tenant_policies import InvalidPoliciesError, tenant_catalog
from verifywise_mlflow.tenants.tenant import Tenant

_MAX_EXAMPLES = 5
"""The maximum number of versions that are named per change."""


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A change of a verdict or badge; None means that there is no verdict or badge."""

    rule_id: str | None
    """None for a change of the badge."""
    before: str | None
    after: str | None


@dataclass(slots=True)
class DryRunResult:
    """The changes that the proposed rules would make."""

    evaluated_count: int = 0
    """The number of versions that were evaluated: all versions that exist in MLflow."""
    stale_count: int = 0
    """The number of versions without verdicts on the current record. The next sync evaluates them."""
    changes: Counter[VerdictChange] = field(default_factory=Counter)
    examples: dict[VerdictChange, list[Key]] = field(default_factory=dict)

    def add(self, key: Key, change: VerdictChange) -> None:
        """Count a change of a version."""
        self.changes[change] += 1
        examples = self.examples.setdefault(change, [])
        if len(examples) < _MAX_EXAMPLES:
            examples.append(key)


def proposed_rules(
    tenant: Tenant, paths: Sequence[Path], *, replaces_all: bool, thresholds: Mapping[str, float] | None = None
) -> RuleSet:
    """Return a tenant's rules with proposed policies and thresholds.

    A proposed policy replaces the tenant's policy of the same ID; a policy with a new ID is added. With
    ``replaces_all``, the proposed policies replace all policies of the tenant.

    Raises:
        InvalidPoliciesError: a file does not contain a policy, or the policies contradict each other.
    """
    compliance = tenant.compliance
    catalog = tenant_catalog(tenant)
    try:
        proposed = [load_policy(path, catalog) for path in paths]
        proposed_by_id = {policy.id: policy for policy in proposed}
        current: list[Policy] = []
        if not replaces_all:
            current = [default_policy()] if compliance.default_policy else []
            current += [load_policy(path, catalog) for path in compliance.policies]
        replaced = [proposed_by_id.get(policy.id, policy) for policy in current]
        policies = [*replaced, *(policy for policy in proposed if policy not in replaced)]
        threshold_names = {name for policy in policies for name in policy.thresholds}
        # With replaces_all, thresholds of policies that are left out do not apply: merge_policies would reject them.
        settings = {
            name: threshold
            for name, threshold in compliance.thresholds.items()
            if not replaces_all or name in threshold_names
        }
        # With replaces_all, only verdicts matter; the tenant's frameworks are checked when the policy is configured.
        frameworks = () if replaces_all else compliance.frameworks
        return merge_policies(policies, {**settings, **(thresholds or {})}, frameworks, catalog)
    except PolicyError as error:
        raise InvalidPoliciesError(str(error)) from error


def dry_run(store: Store, tenant_id: str, rules: RuleSet, facts: EnvironmentFacts, today: date) -> DryRunResult:
    """Evaluate all records of existing versions with other rules, and compare the results with the stored verdicts."""
    with SandboxedEvaluator(rules, today=today, environment_facts=facts) as evaluator:
        return _dry_run(store, tenant_id, evaluator)


def _dry_run(store: Store, tenant_id: str, evaluator: SandboxedEvaluator) -> DryRunResult:
    result = DryRunResult()
    after: Key | None = None
    while True:
        with store.begin(tenant_id) as session:
            batch = verdicts.evaluated_records(
                session, after=after, limit=ROWS_PER_BATCH, selection=evaluator.selection
            )
        if not batch:
            return result
        subjects = [record.evaluation.subject() for record in batch]
        for record, subject, rule_results in zip(batch, subjects, evaluator.evaluate(subjects), strict=True):
            _compare(result, record, {rule.rule_id: rule.verdict.value for rule in rule_results})
            badge = version_badge(rule_results, complete=not subject.incomplete).value
            if record.badge != badge:
                result.add(record.evaluation.key, VerdictChange(None, record.badge, badge))
        result.evaluated_count += len(batch)
        result.stale_count += sum(1 for record in batch if not record.is_current)
        after = batch[-1].evaluation.key


def _compare(result: DryRunResult, record: verdicts.EvaluatedRecord, proposed: Mapping[str, str]) -> None:
    if record.verdicts == proposed:
        return
    for rule_id in proposed.keys() | record.verdicts.keys():
        change = VerdictChange(rule_id, record.verdicts.get(rule_id), proposed.get(rule_id))
        if change.before != change.after:
            result.add(record.evaluation.key, change)
