"""What another policy would change, before it is adopted: every living record is judged by it, and nothing is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError, default_policy, load_policy
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merged
from verifywise_mlflow.compliance.verdict import badge
from verifywise_mlflow.persistence.repositories import verdicts
from verifywise_mlflow.persistence.row_mapping import BATCH, Key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.tenant_policies import UnusablePoliciesError
from verifywise_mlflow.tenants.tenant import Tenant

_EXAMPLES = 5
"""Versions that are named of each change."""


@dataclass(frozen=True, slots=True)
class Move:
    """From which verdict, or badge, to which. Null: there is none on that side."""

    rule_id: str | None
    """Null: the badge."""
    before: str | None
    after: str | None


@dataclass(slots=True)
class PolicyDifference:
    """What would change."""

    judged: int = 0
    """Living versions."""
    unjudged: int = 0
    """Of those, the ones that have no verdicts yet, or none for the record as it is: sync first."""
    moves: Counter[Move] = field(default_factory=Counter)
    examples: dict[Move, list[Key]] = field(default_factory=dict)

    def note(self, key: Key, move: Move) -> None:
        """Count a change."""
        self.moves[move] += 1
        named = self.examples.setdefault(move, [])
        if len(named) < _EXAMPLES:
            named.append(key)


def proposed_rules(
    tenant: Tenant, paths: Sequence[Path], *, alone: bool, thresholds: Mapping[str, float] | None = None
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
        if not alone:
            present = [default_policy()] if asked.default_policy else []
            present += [load_policy(path) for path in asked.policies]
        kept = [proposed.get(policy.id, policy) for policy in present]
        rules = [*kept, *(policy for policy in given if policy not in kept)]  # two of one id are refused below
        known = {name for policy in rules for name in policy.thresholds}
        # Those of policies that are not asked alone stay where they are: in the tenant's description.
        figures = {name: figure for name, figure in asked.thresholds.items() if not alone or name in known}
        # A policy alone is tried for its verdicts; which references are shown is for the description that adopts it.
        return merged(rules, {**figures, **(thresholds or {})}, () if alone else asked.frameworks)
    except PolicyError as error:
        raise UnusablePoliciesError(str(error)) from error


def policy_difference(store: Store, tenant_id: str, rules: RuleSet, today: date) -> PolicyDifference:
    """Judge all living records by other rules, and compare with the verdicts that they have."""
    evaluator, found = Evaluator(rules, today=today), PolicyDifference()
    after: Key | None = None
    while True:
        with store.begin(tenant_id) as connection:
            batch = verdicts.judged_records(
                connection, tenant_id, after=after, limit=BATCH, selection=evaluator.selection
            )
        if not batch:
            return found
        for one in batch:
            results = evaluator.judge(one.due.subject)
            _compare(found, one, {result.rule_id: result.verdict.value for result in results})
            word = badge(results, complete=not one.due.subject.incomplete).value
            if one.badge != word:
                found.note(one.due.key, Move(None, one.badge, word))
        found.judged += len(batch)
        found.unjudged += sum(1 for one in batch if not one.is_current)
        after = batch[-1].due.key


def _compare(found: PolicyDifference, one: verdicts.JudgedRecord, given: Mapping[str, str]) -> None:
    if one.verdicts == given:
        return
    for rule_id in given.keys() | one.verdicts.keys():
        move = Move(rule_id, one.verdicts.get(rule_id), given.get(rule_id))
        if move.before != move.after:
            found.note(one.due.key, move)
