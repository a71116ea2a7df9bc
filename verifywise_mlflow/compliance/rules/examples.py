"""Runs the examples of a policy's rules, which are their test, without a tenant, a database or a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.policy import Example, Policy, load_policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.rules.yaml_source import WrittenFile, read_written
from verifywise_mlflow.compliance.verdict import RuleResult


@dataclass(frozen=True, slots=True)
class CheckedPolicy:
    """A policy that can be used, and what its examples show of it."""

    policy: Policy
    failures: tuple[str, ...]
    """A line for each example on which the rule gives another verdict: file, line, rule, both verdicts."""

    @property
    def examples(self) -> int:
        """How many there are."""
        return sum(len(rule.examples) for rule in self.policy.rules)

    @property
    def untested(self) -> tuple[str, ...]:
        """The ids of rules without examples."""
        return tuple(rule.id for rule in self.policy.rules if not rule.examples)


def checked_policy(path: Path) -> CheckedPolicy:
    """Read a policy, and run its examples.

    Raises:
        PolicyError: the file holds no policy. The message has a line for each error: file, line, rule, field.
    """
    policy = load_policy(path)
    return CheckedPolicy(policy, tuple(_failures(policy, path)))


def judged_example(policy: Policy, rule: Rule, example: Example) -> RuleResult:
    """Return what a rule of a policy gives on an example, with the policy's figures, on the example's day."""
    alone = Policy(id="alone", version=1, title="One rule", thresholds=policy.thresholds, rules=(rule,))
    (judgement,) = Evaluator(alone, today=example.today).judge(example.subject())
    return judgement.result()


def _failures(policy: Policy, path: Path) -> Iterator[str]:
    for rule, (file, index) in zip(policy.rules, _places(path), strict=True):
        for number, example in enumerate(rule.examples):
            given = judged_example(policy, rule, example)
            if given.verdict is not example.verdict:
                line = file.line(("rules", index, "examples", number))
                yield (
                    f"{file.path}:{line}: rule {rule.id!r}: example {number + 1} expects {example.verdict.value!r}, "
                    f"and the rule gives {given.verdict.value!r}: {given.reason}"
                )


def _places(path: Path) -> Iterator[tuple[WrittenFile, int]]:
    """Yield where each rule of a policy stands that was loaded before: in the order of its rules."""
    head = read_written(path, expected="")
    named = head.document.get("files", [])
    parts = [read_written(path.parent / str(name), expected="") for name in named] if isinstance(named, list) else []
    for file in (head, *parts):
        rules = file.document.get("rules", [])
        yield from ((file, index) for index in range(len(rules) if isinstance(rules, list) else 0))
