"""Evaluates records. Tenants' own rules are evaluated under limits of memory and time.

The default policy, and own rules that only compare values, are evaluated in this process. Own rules with macros or
``matches`` are evaluated in this process, too, if they provably cost little on the record (compliance/rule_budget.py).
Otherwise, a worker process evaluates them. The worker is started when it is first needed. A rule that exceeds a limit
in the worker gets the verdict ``error``. All other rules are evaluated as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Final, TypeAlias

from verifywise_mlflow.artifacts.sandbox.worker_process import WorkerLostError
from verifywise_mlflow.common.closeable import Closeable
from verifywise_mlflow.compliance.environment_facts.environment_facts import EnvironmentFacts
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.policy_check import alone
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.policy import Example, Policy, default_policy
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.compliance.verdict import EvaluatedRule, RuleResult
from verifywise_mlflow.services.rule_worker_client import RuleWorker, encode_rules

MAX_LOST_RECORDS: Final = 2
"""After a rule has exceeded a limit on this many records, it is not evaluated on further records, so that its cost is
bounded."""

_Evaluated: TypeAlias = tuple[Subject, list[EvaluatedRule]]
"""A record, and the verdicts of this process on it."""


class SandboxedEvaluator(Closeable):
    """Evaluates any number of records on one day. Use it as a context manager: it ends its worker process."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        today: date | None = None,
        worker: RuleWorker | None = None,
        environment_facts: EnvironmentFacts | None = None,
    ) -> None:
        """Compile the rules.

        Args:
            rules: the rules.
            today: the day of the evaluation. Without one, conditions that read ``today`` are not evidenced.
            worker: evaluates the rules that may be costly.
            environment_facts: facts from outside of MLflow. Without them, the facts in the records count.
        """
        self._environment_facts = environment_facts
        limited_ids = [rule.id for rule in rules.rules if _is_limited(rules.policy_of[rule.id], rule)]
        self._evaluator = Evaluator(rules, today=today, within_budget=limited_ids)
        self.selection = self._evaluator.selection
        """All values that the rules read."""
        self._positions = {rule.id: number for number, rule in enumerate(rules.rules)}
        self._worker = worker or RuleWorker()
        self._worker_ids: frozenset[str] = frozenset()
        """The rules that the worker had to evaluate so far. Each request uses all of these rules, so that the rules of
        a request rarely change."""
        self._losses: dict[str, _Losses] = {}

        @cache
        def encoded(rule_ids: frozenset[str]) -> bytes:
            return encode_rules(_with_rules(rules, lambda rule: rule.id in rule_ids), today)

        self._encoded = encoded

    def close(self) -> None:
        """End the worker process."""
        self._worker.close()

    def evaluate(self, subjects: Sequence[Subject]) -> Iterator[list[EvaluatedRule]]:
        """Yield the verdicts on each record, in the order of the rules.

        Raises:
            RuleWorkerUnavailableError: an own rule needs a process, and none could be started.
        """
        if self._environment_facts:
            subjects = [self._with_facts(subject, self._environment_facts) for subject in subjects]
        waiting: list[_Evaluated] = []
        for subject in subjects:
            verdicts: list[EvaluatedRule] = [*self._evaluator.evaluate_subject(subject)]
            if len(verdicts) == len(self._positions) and not waiting:
                yield verdicts  # the common case, which needs no memory for more than one record
                continue
            waiting.append((subject, verdicts))
            if len(waiting) == self._worker.limits.batch_size:
                yield from self._completed(waiting)
                waiting.clear()
        yield from self._completed(waiting)

    def _completed(self, evaluated: Sequence[_Evaluated]) -> Iterator[list[EvaluatedRule]]:
        """Yield the verdicts on each record, completed with the verdicts of the rules that this process left out."""
        all_ids = frozenset(self._positions)
        left_out = [all_ids.difference(verdict.rule_id for verdict in verdicts) for _, verdicts in evaluated]
        self._worker_ids = self._worker_ids.union(*left_out)
        incomplete = [subject for (subject, _), rule_ids in zip(evaluated, left_out, strict=True) if rule_ids]
        by_worker = iter(self._decide(incomplete, self._worker_ids) if incomplete else ())
        for (_, verdicts), rule_ids in zip(evaluated, left_out, strict=True):
            if rule_ids:
                verdicts += [verdict for verdict in next(by_worker) if verdict.rule_id in rule_ids]
                verdicts.sort(key=lambda verdict: self._positions[verdict.rule_id])
            yield verdicts

    def _with_facts(self, subject: Subject, facts: EnvironmentFacts) -> Subject:
        found = facts.of(subject.record, self.selection)
        return replace(subject, environment_facts=found) if found else subject

    def _decide(self, subjects: Sequence[Subject], rule_ids: frozenset[str]) -> list[list[EvaluatedRule]]:
        """Return the verdicts of some rules on each record: ``error`` for rules that exceeded limits before."""
        stopped = {rule_id: self._losses[rule_id].reason() for rule_id in rule_ids if self._is_suspended(rule_id)}
        active = rule_ids.difference(stopped)
        decided = self._decide_by(subjects, active) if active else [[] for _ in subjects]
        if not stopped:
            return decided
        failed = (self._evaluator.failed(subject, stopped) for subject in subjects)
        return [[*verdicts, *errors] for verdicts, errors in zip(decided, failed, strict=True)]

    def _decide_by(self, subjects: Sequence[Subject], rule_ids: frozenset[str]) -> list[list[EvaluatedRule]]:
        """Return the verdicts on each record. If a request is lost, find the record and the rule that cause it."""
        was_running = self._worker.is_running
        try:
            return [[*verdicts] for verdicts in self._worker.evaluate(self._encoded(rule_ids), subjects)]
        except WorkerLostError as error:
            reason = self._reason(error)
        if len(subjects) > 1:
            return [verdicts for subject in subjects for verdicts in self._decide([subject], rule_ids)]
        (subject,) = subjects
        if len(rule_ids) > 1:
            by_rule = [self._decide(subjects, frozenset({rule_id})) for rule_id in sorted(rule_ids)]
            return [[verdict for ((verdict,),) in by_rule]]
        if was_running:  # the process may have ended for another reason than this rule
            return self._decide_by(subjects, rule_ids)
        (rule_id,) = rule_ids
        self._losses.setdefault(rule_id, _Losses(reason)).count += 1
        return [[*self._evaluator.failed(subject, {rule_id: reason})]]

    def _is_suspended(self, rule_id: str) -> bool:
        losses = self._losses.get(rule_id)
        return losses is not None and losses.count >= MAX_LOST_RECORDS

    def _reason(self, error: WorkerLostError) -> str:
        if "killed by" not in str(error):
            return str(error)
        megabytes = self._worker.limits.memory_bytes // 1024**2
        return f"{error}, as happens to a rule that needs more than the {megabytes} MB of memory that it may use"


def evaluate_example(policy: Policy, rule: Rule, example: Example, worker: RuleWorker) -> RuleResult:
    """Return the result of one rule on an example, with the policy's thresholds, on the example's day."""
    rules = merge_policies([alone(policy, rule, example.thresholds)])
    evaluator = SandboxedEvaluator(rules, today=example.today, worker=worker)
    ((evaluation,),) = evaluator.evaluate([example.subject()])
    return evaluation.result()


@dataclass(slots=True)
class _Losses:
    """How often a rule exceeded a limit, and the reason that was given the first time."""

    first: str
    count: int = 0

    def reason(self) -> str:
        others = "another record" if self.count == 1 else f"{self.count} other records"
        return f"{self.first} on {others}, so the rule was not evaluated on this one"


def _is_limited(policy: Policy, rule: Rule) -> bool:
    """Return whether a rule is evaluated under limits: it is not part of this release and may be costly."""
    if policy is default_policy() or rule.model_copy(update={"examples": ()}) in default_policy().rules:
        return False
    return rule.may_be_costly


def _with_rules(rules: RuleSet, is_wanted: Callable[[Rule], bool]) -> RuleSet:
    """Return the same policies with some of their rules."""
    subsets = ((policy, tuple(filter(is_wanted, policy.rules))) for policy in rules.policies)
    policies = tuple(policy.model_copy(update={"rules": subset}) for policy, subset in subsets if subset)
    return replace(rules, policies=policies)
