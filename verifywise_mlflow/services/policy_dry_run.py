"""What another policy would change, before it is adopted: every living record is judged by it, and nothing is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from verifywise_mlflow.compliance.badge import version_badge
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError, default_policy, load_policy
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.persistence.repositories import verdicts
from verifywise_mlflow.persistence.row_mapping import BATCH, Key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.tenant_policies import InvalidPoliciesError
from verifywise_mlflow.tenants.tenant import Tenant

_MAX_EXAMPLES = 5
"""Versions that are named of each change."""


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """From which verdict, or badge, to which. Null: there is none on that side."""

    rule_id: str | None
    """Null: the badge."""
    before: str | None
    after: str | None


@dataclass(slots=True)
class DryRunResult:
    """What would change."""

    evaluated_count: int = 0
    """Living versions."""
    stale_count: int = 0
    """Of those, the ones that have no verdicts yet, or none for the record as it is: sync first."""
    changes: Counter[VerdictChange] = field(default_factory=Counter)
    examples: dict[VerdictChange, list[Key]] = field(default_factory=dict)

    def add(self, key: Key, move: VerdictChange) -> None:
        """Count a change."""
        self.changes[move] += 1
        named = self.examples.setdefault(move, [])
        if len(named) < _MAX_EXAMPLES:
            named.append(key)


def proposed_rules(
    tenant: Tenant, paths: Sequence[Path], *, replaces_all: bool, thresholds: Mapping[str, float] | None = None
) -> RuleSet:
    """Return a tenant's rules as they would be with some files, and with some figures.

    A policy takes the place of the tenant's one of the same id, and another is added; ``alone``, there are no others.

    Raises:
        UnusablePoliciesError: a file holds no policy, or what they say does not go together.
    """
    asked = tenant.compliance
    try:
        given = [load_policy(path) for path in paths]
        proposed = {policy.id: policy for policy in given}
        present: list[Policy] = []
        if not replaces_all:
            present = [default_policy()] if asked.default_policy else []
            present += [load_policy(path) for path in asked.policies]
        kept = [proposed.get(policy.id, policy) for policy in present]
        rules = [*kept, *(policy for policy in given if policy not in kept)]  # two of one id are refused below
        known = {name for policy in rules for name in policy.thresholds}
        # Those of policies that are not asked alone stay where they are: in the tenant's description.
        figures = {name: figure for name, figure in asked.thresholds.items() if not replaces_all or name in known}
        # A policy alone is tried for its verdicts; which references are shown is for the description that adopts it.
        return merge_policies(rules, {**figures, **(thresholds or {})}, () if replaces_all else asked.frameworks)
    except PolicyError as error:
        raise InvalidPoliciesError(str(error)) from error


def dry_run(store: Store, tenant_id: str, rules: RuleSet, today: date) -> DryRunResult:
    """Judge all living records by other rules, and compare with the verdicts that they have."""
    evaluator, found = Evaluator(rules, today=today), DryRunResult()
    after: Key | None = None
    while True:
        with store.begin(tenant_id) as session:
            batch = verdicts.judged_records(session, after=after, limit=BATCH, selection=evaluator.selection)
        if not batch:
            return found
        for one in batch:
            results = evaluator.evaluate_subject(one.due.subject)
            _compare(found, one, {result.rule_id: result.verdict.value for result in results})
            word = version_badge(results, complete=not one.due.subject.incomplete).value
            if one.badge != word:
                found.add(one.due.key, VerdictChange(None, one.badge, word))
        found.evaluated_count += len(batch)
        found.stale_count += sum(1 for one in batch if not one.is_current)
        after = batch[-1].due.key


def _compare(found: DryRunResult, one: verdicts.JudgedRecord, given: Mapping[str, str]) -> None:
    if one.verdicts == given:
        return
    for rule_id in given.keys() | one.verdicts.keys():
        move = VerdictChange(rule_id, one.verdicts.get(rule_id), given.get(rule_id))
        if move.before != move.after:
            found.add(one.due.key, move)
