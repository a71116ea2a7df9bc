"""If a tenant's own rule needs too much memory or time, its verdict is ``error``, and all other rules are decided."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.artifacts.sandbox.worker_process import Worker
from verifywise_mlflow.cli import app
from verifywise_mlflow.compliance import rule_budget
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.policy import Policy, default_policy
from verifywise_mlflow.compliance.rules.reason_template import ReasonCase
from verifywise_mlflow.compliance.rules.rule import Rule
from verifywise_mlflow.compliance.rules.ruleset import RuleSet, merge_policies
from verifywise_mlflow.compliance.verdict import CompleteVerdict, Verdict
from verifywise_mlflow.normalizer.unread_object import UnreadObject
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services import rule_worker_client, sandboxed_evaluation
from verifywise_mlflow.services.rule_worker_client import EvaluationLimits, RuleWorker
from verifywise_mlflow.services.rule_worker_error import RuleWorkerUnavailableError
from verifywise_mlflow.services.sandboxed_evaluation import SandboxedEvaluator
from verifywise_mlflow_tests.compliance.records import record_with
from verifywise_mlflow_tests.compliance.rules import rule_with
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    store_record,
    tenant_with_policies,
    verdicts,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import NOON

SMALL = EvaluationLimits(memory_bytes=64 * 1024**2, cpu_seconds=1)
TODAY = date(2026, 3, 1)
SMALL_COST = rule_with("size(evidence_files) > 0 && evidence_files.all(f, f.path.startsWith('file'))", rule_id="cheap")
# The CEL library evaluates these, since string() is not translated: Python functions would stay within the limits.
HARMLESS = rule_with(
    "size(evidence_files) > 0 && evidence_files.all(f, string(f.path).startsWith('file'))", rule_id="harmless"
)
VAST = rule_with(f"size(evidence_files.map(f, [string(f.path), {', '.join('f' * 300)}])) < 0", rule_id="vast")
SLOW = rule_with(r'evidence_files.all(f, !string(f.path).matches("(x{1,500}){1,2}y"))', rule_id="slow")
MANY_FILES = record_with(evidence_files=[{"path": f"file{number}"} for number in range(4_000)])
FEW_FILES = record_with(evidence_files=[{"path": "file"}])


def own(*rules: Rule, with_default: bool = False) -> RuleSet:
    policy = Policy(id="own", version=1, title="Own", rules=rules)
    return merge_policies([default_policy(), policy] if with_default else [policy])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Worker]]:
    """The workers that the test started."""
    workers: list[Worker] = []

    class RecordedWorker(Worker):
        def __init__(self, program: str, memory_bytes: int, cpu_seconds: int) -> None:
            super().__init__(program, memory_bytes, cpu_seconds)
            workers.append(self)

    monkeypatch.setattr(rule_worker_client, "Worker", RecordedWorker)
    yield workers
    assert all(worker._process.poll() is not None for worker in workers), "every worker has ended"


def test_the_worker_gives_the_same_results_as_this_process(started: list[Worker]) -> None:
    needs_today = rule_with(
        "today > timestamp('2026-01-01T00:00:00Z') && findings.exists(f, f.kind == 'conflict')", rule_id="today"
    )
    plain_rule = rule_with('owner == "me"', rule_id="plain")
    rules = own(HARMLESS, SMALL_COST, needs_today, plain_rule, with_default=True)
    subjects = [
        Subject(
            FEW_FILES,
            [UnreadObject("run", ("a run was not read",), ("owner", "metrics"))],
            [{"kind": "conflict", "field": None, "sentence": "\x00 ü \ud800"}],
        ),
        Subject(
            record_with(owner="me", lifecycle_stage="production"), origins={"owner": {"source": "tag", "key": "o"}}
        ),
    ] * 120

    with SandboxedEvaluator(rules, today=TODAY) as evaluator:
        limited = [[(v.result(), v.fingerprint()) for v in of] for of in evaluator.evaluate(subjects)]

    plain = Evaluator(rules, today=TODAY)
    assert limited == [[(v.result(), v.fingerprint()) for v in plain.evaluate_subject(subject)] for subject in subjects]
    assert len(started) == 1


def test_cheap_rules_and_the_default_policy_need_no_process(started: list[Worker]) -> None:
    matching = rule_with('code_commit.matches("^[0-9a-f]{7,40}$")', rule_id="matching")
    rules = own(rule_with('owner == "me"', rule_id="plain"), SMALL_COST, matching, with_default=True)

    with SandboxedEvaluator(rules) as evaluator:
        ((*_, plain, cheap, commit),) = evaluator.evaluate([Subject(FEW_FILES)])

    assert [plain.verdict, cheap.verdict, commit.verdict] == ["not evidenced", "pass", "not evidenced"]
    assert started == []


def test_only_the_records_that_a_rule_may_be_costly_on_are_sent_to_the_worker(
    started: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    class CountingWorker(RuleWorker):
        def evaluate(self, rules: bytes, subjects: Sequence[Subject]) -> list[list[CompleteVerdict]]:
            sent.append(len(subjects))
            return super().evaluate(rules, subjects)

    subjects = [Subject(record) for record in (FEW_FILES, MANY_FILES, FEW_FILES)]
    monkeypatch.setattr(rule_budget, "MAX_STEPS", 10_000)
    with SandboxedEvaluator(own(SMALL_COST), worker=CountingWorker()) as evaluator:
        verdicts = [verdict.verdict for (verdict,) in evaluator.evaluate(subjects)]

    assert verdicts == [Verdict.PASS] * 3
    assert sent == [1]


def test_a_rule_whose_reason_has_values_is_sent_to_the_worker(
    started: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = rule_with(
        "size(evidence_files) > 0 && evidence_files.all(f, f.path.startsWith('file'))",
        reasons={ReasonCase.PASS: "Files: {size(evidence_files)}."},
    )
    monkeypatch.setattr(rule_budget, "MAX_STEPS", 10_000)
    with SandboxedEvaluator(own(rule)) as evaluator:
        here, by_worker = [result for (result,) in evaluator.evaluate([Subject(FEW_FILES), Subject(MANY_FILES)])]

    assert (here.result().reason, by_worker.result().reason) == ("Files: 1.", "Files: 4000.")
    assert len(started) == 1


def test_a_forked_process_has_a_worker_of_its_own(started: list[Worker]) -> None:
    with SandboxedEvaluator(own(HARMLESS)) as evaluator:
        ((before,),) = evaluator.evaluate([Subject(FEW_FILES)])
        pid = os.fork()
        if pid == 0:
            ((verdict,),) = evaluator.evaluate([Subject(FEW_FILES)])
            is_own = len(started) == 2 and verdict.verdict is Verdict.PASS
            evaluator.close()
            os._exit(0 if is_own else 1)
        assert os.waitpid(pid, 0)[1] == 0
        ((after,),) = evaluator.evaluate([Subject(FEW_FILES)])

    assert before.verdict is after.verdict is Verdict.PASS
    assert len(started) == 1, "the child's end left the worker of this process alone"


def test_a_rule_that_needs_too_much_memory_is_an_error_on_that_record_alone(started: list[Worker]) -> None:
    with SandboxedEvaluator(own(HARMLESS, VAST), worker=RuleWorker(SMALL)) as evaluator:
        many, few = (
            {v.rule_id: v.result() for v in verdicts}
            for subject in (Subject(MANY_FILES), Subject(FEW_FILES))
            for verdicts in evaluator.evaluate([subject])
        )

    assert many["harmless"].verdict is few["harmless"].verdict is Verdict.PASS
    assert few["vast"].verdict is Verdict.FAIL
    assert many["vast"].verdict is Verdict.ERROR
    assert re.search(r"(64 MB|67108864 bytes) of memory .*Correct the expression of the rule", many["vast"].reason)


def test_a_rule_that_needs_too_much_time_is_an_error(started: list[Worker]) -> None:
    with SandboxedEvaluator(own(SLOW), worker=RuleWorker(SMALL)) as evaluator:
        ((verdict,),) = evaluator.evaluate([Subject(MANY_FILES)])

    assert verdict.verdict is Verdict.ERROR
    assert "used more than 1 seconds of CPU time. Correct the expression of the rule" in verdict.result().reason


def test_a_rule_that_exceeds_a_limit_again_is_not_evaluated_any_more(
    started: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandboxed_evaluation, "MAX_LOST_RECORDS", 1)

    with SandboxedEvaluator(own(HARMLESS, VAST), worker=RuleWorker(SMALL)) as evaluator:
        results = [{v.rule_id: v.result() for v in of} for of in evaluator.evaluate([Subject(MANY_FILES)] * 5)]
        later = [{v.rule_id: v.result() for v in of} for of in evaluator.evaluate([Subject(FEW_FILES)])]

    assert {result["harmless"].verdict for result in (*results, *later)} == {Verdict.PASS}
    assert {result["vast"].verdict for result in (*results, *later)} == {Verdict.ERROR}
    assert "on another record, so the rule was not evaluated on this one" in later[0]["vast"].reason
    assert len(started) < 6, "a lost request costs no process per record"


def test_a_worker_that_is_killed_between_two_batches_costs_nothing(started: list[Worker]) -> None:
    with SandboxedEvaluator(own(HARMLESS)) as evaluator:
        list(evaluator.evaluate([Subject(FEW_FILES)]))
        os.kill(started[0]._process.pid, signal.SIGKILL)
        ((after,),) = evaluator.evaluate([Subject(FEW_FILES)])

    assert after.verdict is Verdict.PASS


def test_a_process_that_cannot_start_is_an_error_of_the_system_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)

    with (
        SandboxedEvaluator(own(HARMLESS)) as evaluator,
        pytest.raises(RuleWorkerUnavailableError, match="could not be started: Resource temporarily unavailable"),
    ):
        list(evaluator.evaluate([Subject(FEW_FILES)]))


@pytest.fixture
def unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker can start, which shows whether an evaluation needs a worker."""
    monkeypatch.setattr(rule_worker_client, "RULE_WORKER", "no_such_program")


@pytest.mark.usefixtures("unavailable")
def test_a_sync_evaluates_costly_own_rules_in_the_worker(store: Store, tmp_path: Path) -> None:
    policy = write_policy(
        tmp_path / "own.yaml", rule_yaml("costly", "findings.all(f, f.count > 0) && string(model_name) != ''")
    )
    store_record(store, "fraud", 1, NOON)

    with pytest.raises(RuleWorkerUnavailableError, match="No verdict was changed"):
        evaluate(tenant_with_policies(policies=[str(policy)]), store, NOON)

    assert verdicts(store) == {}


@pytest.mark.usefixtures("unavailable")
def test_policy_check_evaluates_costly_rules_in_the_worker(tmp_path: Path) -> None:
    rule = (
        rule_yaml("costly", "findings.all(f, f.count > 0) && string(model_name) != ''")
        + "    examples: [{verdict: pass}]\n"
    )
    policy = write_policy(tmp_path / "own.yaml", rule)

    result = CliRunner().invoke(app, ["policy", "check", str(policy)])

    assert result.exit_code == 1
    assert "could not be started" in " ".join(result.output.split())
