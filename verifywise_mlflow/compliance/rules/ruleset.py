"""The rules that a tenant's records are judged by: those of one policy or of several, with the tenant's figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from verifywise_mlflow.compliance.rules.cel_expression import compiled
from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError, Rule
from verifywise_mlflow.normalizer.fingerprint import fingerprint


@dataclass(frozen=True)
class RuleSet:
    """Several policies as one. Made by ``merged``."""

    policies: tuple[Policy, ...]
    thresholds: Mapping[str, float]
    frameworks: tuple[str, ...] = ()
    """Those whose references are shown; empty: all."""

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, policy by policy, in the order of the files."""
        return tuple(rule for policy in self.policies for rule in policy.rules)

    @cached_property
    def policy_of(self) -> Mapping[str, Policy]:
        """Rule's id to the policy that asks for it."""
        return {rule.id: policy for policy in self.policies for rule in policy.rules}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that decides verdicts. Verdicts that were given under another one are outdated."""
        if len(self.policies) == 1 and self.thresholds == self.policies[0].thresholds:
            return self.policies[0].digest
        return fingerprint([[policy.digest for policy in self.policies], self.thresholds])

    @cached_property
    def uses_today(self) -> bool:
        """Whether a verdict may change because a day has passed."""
        return any(
            compiled(text).uses_today for rule in self.rules for text in (rule.applies, rule.evidenced, rule.requires)
        )


def merged(
    policies: Sequence[Policy],
    thresholds: Mapping[str, float] | None = None,
    frameworks: Collection[str] = (),
) -> RuleSet:
    """Return several policies as one set of rules, with a tenant's thresholds in the place of the policies'.

    Raises:
        PolicyError: two policies have a rule or a threshold of one name, a rule compares with a threshold that no
            policy gives, or the tenant gives one that no policy has, or names a framework that no rule refers to.
    """
    ids = [policy.id for policy in policies]
    wrong = [f"two policies are called {name!r}: rename one" for name in dict.fromkeys(ids) if ids.count(name) > 1]
    asked_by: dict[str, Policy] = {}
    figures: dict[str, float] = {}
    for policy in policies:
        for rule in policy.rules:
            other = asked_by.setdefault(rule.id, policy)
            if other is not policy:
                wrong.append(f"the rule {rule.id!r} is in the policy {other.id!r} and in {policy.id!r}: rename one")
        for name, figure in policy.thresholds.items():
            if figures.setdefault(name, figure) != figure:
                wrong.append(f"two policies give the threshold {name!r}, and not the same: rename one")
    if not asked_by:
        wrong.append("there is no policy: name one, or keep the default one")
    wrong += [
        f"the rule {rule.id!r} of the policy {policy.id!r} compares with thresholds.{name}: give it under thresholds"
        for policy in policies
        for rule in policy.rules
        for name in dict.fromkeys(
            name for text in (rule.applies, rule.evidenced, rule.requires) for name in compiled(text).thresholds
        )
        if name not in figures
    ]
    wrong += [
        f"no policy has the threshold {name!r}; there are: {', '.join(sorted(figures)) or 'none'}"
        for name in thresholds or {}
        if name not in figures
    ]
    named = {reference.framework for policy in policies for rule in policy.rules for reference in rule.references}
    wrong += [
        f"no rule refers to the framework {name!r}; there are: {', '.join(sorted(named))}"
        for name in frameworks
        if name not in named
    ]
    if wrong:
        raise PolicyError("\n".join(wrong))
    return RuleSet(tuple(policies), {**figures, **(thresholds or {})}, tuple(frameworks))
