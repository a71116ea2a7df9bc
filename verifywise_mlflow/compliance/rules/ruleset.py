"""The rules of one or several policies that apply to a tenant, with the tenant's thresholds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from verifywise_mlflow.common.unresolved_names import did_you_mean
from verifywise_mlflow.compliance.frameworks import Catalog, own_frameworks, shipped_catalog
from verifywise_mlflow.compliance.metric_interpretation import is_level, known_levels
from verifywise_mlflow.compliance.rules.cel_expression import CelExpression
from verifywise_mlflow.compliance.rules.field_paths import MEASURES
from verifywise_mlflow.compliance.rules.policy import Policy, PolicyError, Rule
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.normalizer.fingerprint import fingerprint


@dataclass(frozen=True)
class RuleSet:
    """The rules of several policies. ``merge_policies`` creates it."""

    policies: tuple[Policy, ...]
    thresholds: Mapping[str, float]
    frameworks: tuple[str, ...] = ()
    """The frameworks whose references are shown; empty: all."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """The thresholds that no rule names: they state levels of metrics. See metric_interpretation.py."""
    catalog: Catalog = field(default_factory=shipped_catalog)
    """The frameworks that the rules may refer to."""

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, policy by policy, in the order of the files."""
        return tuple(rule for policy in self.policies for rule in policy.rules)

    @cached_property
    def policy_of(self) -> Mapping[str, Policy]:
        """Rule id to the policy that contains the rule."""
        return {rule.id: policy for policy in self.policies for rule in policy.rules}

    @cached_property
    def severities(self) -> Mapping[str, Severity]:
        """Rule id to the rule's severity."""
        return {rule.id: rule.severity for rule in self.rules}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that determines the verdicts and the clauses that verdicts are evidence for.

        Verdicts with another digest are outdated.
        """
        frameworks = {name: framework.digest for name, framework in self.catalog.items()}
        return fingerprint([[policy.digest for policy in self.policies], self.thresholds, frameworks])

    @cached_property
    def uses_today(self) -> bool:
        """Whether a verdict may change merely because a day has passed."""
        return any(expression.uses_today for rule in self.rules for expression in _expressions(rule))


def merge_policies(
    policies: Sequence[Policy],
    thresholds: Mapping[str, float] | None = None,
    frameworks: Collection[str] = (),
    catalog: Catalog | None = None,
) -> RuleSet:
    """Return several policies as one set of rules. A tenant's thresholds override the thresholds of the policies.

    Raises:
        PolicyError: there is no rule; two policies share an id or a rule id, or disagree on a threshold; a rule
            compares with a threshold that no policy defines; the tenant sets a threshold that no policy defines and
            that is not the level of a metric for a rule that reads measures; or the tenant selects a framework that no
            rule refers to and that is not one of its own.
    """
    catalog = catalog or shipped_catalog()
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
    expressions = [expression for policy in policies for rule in policy.rules for expression in _expressions(rule)]
    reads_measures = any(path[0] == MEASURES for expression in expressions for path in expression.paths)
    names = [*sorted(defined), *(known_levels() if reads_measures else ())]
    errors += [
        f"no policy has the threshold {name!r} (defined: {', '.join(sorted(defined)) or 'none'}): "
        f"{did_you_mean(name, names) or 'correct its name'}"
        for name in thresholds or {}
        if name not in defined and not (reads_measures and is_level(name, defined))
    ]
    referenced = {reference.framework for policy in policies for rule in policy.rules for reference in rule.references}
    referenced |= {framework.name for framework in own_frameworks(catalog)}  # all of its clauses may be blank
    errors += [
        f"no rule refers to the framework {name!r} (referenced: {', '.join(sorted(referenced))}): correct its name"
        for name in frameworks
        if name not in referenced
    ]
    if errors:
        raise PolicyError("\n".join(errors))
    merged = {**defined, **(thresholds or {})}
    named = {name for expression in expressions for name in expression.thresholds}
    levels = {name: level for name, level in merged.items() if name not in named and is_level(name, named)}
    return RuleSet(tuple(policies), merged, tuple(frameworks), levels, catalog)


def _expressions(rule: Rule) -> Iterator[CelExpression]:
    return iter(rule.expressions.values())
