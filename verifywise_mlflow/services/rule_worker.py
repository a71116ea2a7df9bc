"""The process that evaluates tenants' own rules: a rule that needs too much memory or time ends only this process.

The process is limited, not isolated: an expression may read the system's time zones. The process has no credentials and
no connections, and its environment is empty. Requests are pickled, since they come from the parent process, which is
trusted. Responses are JSON.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import resource
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.lockdown import Protections
from verifywise_mlflow.artifacts.sandbox.protocol import WorkerChannel
from verifywise_mlflow.compliance.evaluation import Evaluator
from verifywise_mlflow.compliance.record_evaluation import RuleEvaluation
from verifywise_mlflow.compliance.rules.cel_expression import compile_expression
from verifywise_mlflow.compliance.rules.ruleset import RuleSet


def main(memory_bytes: int, cpu_seconds: int) -> None:
    """Evaluate one batch of records after another until the input ends.

    Args:
        memory_bytes: the bytes that an evaluation may allocate, in addition to what the process needs to start.
        cpu_seconds: CPU time for each request.
    """
    compile_expression("incomplete.exists(sentence, sentence.matches('a'))")
    channel = WorkerChannel()
    _limit_memory(memory_bytes)
    channel.send_ready(Protections(("memory-limit", "cpu-limit"), ()))
    evaluator: Evaluator | None = None
    while True:
        try:
            rules, subjects = _receive(channel)
            _limit_cpu(cpu_seconds)
            if rules:
                evaluator = _evaluator(*pickle.loads(rules))  # noqa: S301 - from the process that started this one
            assert evaluator is not None
            evaluations = [evaluator.evaluate_subject(subject) for subject in pickle.loads(subjects)]  # noqa: S301
            channel.send_response(json.dumps([list(map(_as_json, of_record)) for of_record in evaluations]).encode())
        except MemoryError:
            os._exit(protocol.OUT_OF_MEMORY_EXIT_STATUS)
        except SystemError:  # what the CEL library raises if there is no memory left for an exception
            if _can_allocate(memory_bytes // 8):
                raise
            os._exit(protocol.OUT_OF_MEMORY_EXIT_STATUS)


def _evaluator(rules: RuleSet, today: date | None) -> Evaluator:
    return Evaluator(rules, today=today)


def _receive(channel: WorkerChannel) -> tuple[bytes, bytes]:
    """Return a request's rules and records. The rules are empty if they equal the rules of the last request."""
    rules, subjects = bytearray(), bytearray()
    while True:
        kind, payload = channel.receive_frame()
        if kind == protocol.END:
            return bytes(rules), bytes(subjects)
        (rules if kind == protocol.FILE else subjects).extend(payload)


def _as_json(evaluation: RuleEvaluation) -> dict[str, object]:
    result = evaluation.result()._asdict()
    result["day"] = result["day"] and result["day"].isoformat()
    return {**result, "fingerprint": evaluation.fingerprint()}


def _limit_memory(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would write a customer's texts to the disk
    with suppress(OSError, ValueError):  # macOS has no /proc and does not enforce the limit
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _can_allocate(memory_bytes: int) -> bool:
    try:
        bytearray(memory_bytes)
    except MemoryError:
        return False
    return True


def _limit_cpu(seconds: int) -> None:
    """Allow the process more CPU time, from now on. SIGXCPU ends it."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + seconds, hard))
