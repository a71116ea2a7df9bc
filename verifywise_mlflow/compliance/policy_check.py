"""Tests a policy by the examples of its rules, without a tenant, a database or a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.frameworks import Catalog
from verifywise_mlflow.compliance.rules.policy import Example, Policy, load_policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.verdict import RuleResult
from verifywise_mlflow.compliance.yaml_source import YamlSource, read_yaml_source

EvaluateExample: TypeAlias = Callable[[Policy, Rule, Example], RuleResult]
"""Returns the result of one rule of a policy on an example."""


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """A valid policy, and the results of its examples."""

    policy: Policy
    failures: tuple[str, ...]
    """One line per example on which the rule gives another verdict: file, line, rule, expected and given verdict."""

    @property
    def example_count(self) -> int:
        """The number of examples in the policy."""
        return sum(len(rule.examples) for rule in self.policy.rules)

    @property
    def rules_without_examples(self) -> tuple[str, ...]:
        """The ids of the rules that have no example."""
        return tuple(rule.id for rule in self.policy.rules if not rule.examples)


def check_policy(path: Path, evaluate: EvaluateExample | None = None, catalog: Catalog | None = None) -> PolicyCheck:
    """Load a policy and run its examples.

    Args:
        path: the policy's file.
        evaluate: evaluates an example: ``evaluate_example``, or a function that does the same under limits.
        catalog: the frameworks that rules may refer to; by default those that come with the package.

    Raises:
        PolicyError: the file contains no usable policy. The message has one line per error: file, line, rule, field.
    """
    policy = load_policy(path, catalog)
    return PolicyCheck(policy, tuple(_failures(policy, path, evaluate or evaluate_example)))


def evaluate_example(policy: Policy, rule: Rule, example: Example) -> RuleResult:
    """Return the result of one rule on an example, with the policy's thresholds, on the example's day."""
    evaluator = Evaluator(alone(policy, rule, example.thresholds), today=example.today)
    (evaluation,) = evaluator.evaluate_subject(example.subject())
    return evaluation.result()


def alone(policy: Policy, rule: Rule, thresholds: Mapping[str, float] | None = None) -> Policy:
    """Return a policy with this rule alone. Thresholds of the policy that only other rules name are left out.

    Args:
        policy: the policy that has the rule.
        rule: the rule.
        thresholds: thresholds that override the policy's.
    """
    of_rule = {name for expression in rule.expressions.values() for name in expression.thresholds}
    of_others = policy.named_thresholds - of_rule
    kept = {name: level for name, level in policy.thresholds.items() if name not in of_others}
    return Policy(id="alone", version=1, title="One rule", thresholds={**kept, **(thresholds or {})}, rules=(rule,))


def _failures(policy: Policy, path: Path, evaluate: EvaluateExample) -> Iterator[str]:
    for rule, (source, index) in zip(policy.rules, _rule_locations(path), strict=True):
        for number, example in enumerate(rule.examples):
            result = evaluate(policy, rule, example)
            if result.verdict is not example.verdict:
                line = source.line_of(("rules", index, "examples", number))
                yield (
                    f"{source.path}:{line}: rule {rule.id!r}: example {number + 1} expects {example.verdict.value!r}, "
                    f"and the rule gives {result.verdict.value!r}: {result.reason}"
                )


def _rule_locations(path: Path) -> Iterator[tuple[YamlSource, int]]:
    """Yield the source and index of each rule of a valid policy, in the order of its rules."""
    head = read_yaml_source(path, expected="")
    names = head.document.get("files", [])
    rule_files = (
        [read_yaml_source(path.parent / str(name), expected="") for name in names] if isinstance(names, list) else []
    )
    for source in (head, *rule_files):
        rules = source.document.get("rules", [])
        yield from ((source, index) for index in range(len(rules) if isinstance(rules, list) else 0))
