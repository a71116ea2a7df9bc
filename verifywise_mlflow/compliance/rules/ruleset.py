"""The rules that apply to a tenant: those of one policy or several, with the tenant's thresholds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from verifywise_mlflow.compliance.rules.cel_expression import CelExpression, compile_expression
from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError, Rule
from verifywise_mlflow.compliance.rules.rule import EXPRESSION_FIELDS
from verifywise_mlflow.normalizer.fingerprint import fingerprint


@dataclass(frozen=True)
class RuleSet:
    """Several policies as one. Made by ``merge_policies``."""

    policies: tuple[Policy, ...]
    thresholds: Mapping[str, float]
    frameworks: tuple[str, ...] = ()
    """The frameworks whose references are shown; empty: all."""

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, policy by policy, in the order of the files."""
        return tuple(rule for policy in self.policies for rule in policy.rules)

    @cached_property
    def policy_of(self) -> Mapping[str, Policy]:
        """Rule id to the policy that contains the rule."""
        return {rule.id: policy for policy in self.policies for rule in policy.rules}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that determines verdicts. Verdicts made under another digest are outdated."""
        if len(self.policies) == 1 and self.thresholds == self.policies[0].thresholds:
            return self.policies[0].digest
        return fingerprint([[policy.digest for policy in self.policies], self.thresholds])

    @cached_property
    def uses_today(self) -> bool:
        """Whether a verdict may change merely because a day has passed."""
        return any(expression.uses_today for rule in self.rules for expression in _expressions(rule))


def merge_policies(
    policies: Sequence[Policy],
    thresholds: Mapping[str, float] | None = None,
    frameworks: Collection[str] = (),
) -> RuleSet:
    """Return several policies as one set of rules, with a tenant's thresholds overriding those of the policies.

    Raises:
        PolicyError: two policies share an id or a rule id, or disagree on a threshold; a rule compares with a threshold
            that no policy defines; or the tenant overrides a threshold that no policy has, or names a framework that no
            rule refers to.
    """
    ids = [policy.id for policy in policies]
    errors = [f"two policies have the id {name!r}: rename one" for name in dict.fromkeys(ids) if ids.count(name) > 1]
    policy_of_rule: dict[str, Policy] = {}
    defined: dict[str, float] = {}
    for policy in policies:
        for rule in policy.rules:
            other = policy_of_rule.setdefault(rule.id, policy)
            if other is not policy:
                errors.append(f"the rule {rule.id!r} is in the policies {other.id!r} and {policy.id!r}: rename one")
        for name, threshold in policy.thresholds.items():
            if defined.setdefault(name, threshold) != threshold:
                errors.append(f"two policies define the threshold {name!r} differently: rename one")
    if not policy_of_rule:
        errors.append("the tenant has no policy: name one under policies, or leave default_policy on")
    errors += [
        f"the rule {rule.id!r} of the policy {policy.id!r} compares with thresholds.{name}, which no policy defines: "
        "add it under thresholds"
        for policy in policies
        for rule in policy.rules
        for name in dict.fromkeys(name for expression in _expressions(rule) for name in expression.thresholds)
        if name not in defined
    ]
    errors += [
        f"no policy has the threshold {name!r} (defined: {', '.join(sorted(defined)) or 'none'}): correct its name"
        for name in thresholds or {}
        if name not in defined
    ]
    referenced = {reference.framework for policy in policies for rule in policy.rules for reference in rule.references}
    errors += [
        f"no rule refers to the framework {name!r} (referenced: {', '.join(sorted(referenced))}): correct its name"
        for name in frameworks
        if name not in referenced
    ]
    if errors:
        raise PolicyError("\n".join(errors))
    return RuleSet(tuple(policies), {**defined, **(thresholds or {})}, tuple(frameworks))


def _expressions(rule: Rule) -> Iterator[CelExpression]:
    return (compile_expression(getattr(rule, field)) for field in EXPRESSION_FIELDS)
