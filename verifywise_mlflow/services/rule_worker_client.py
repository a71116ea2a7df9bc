"""The client of the process for tenants' own rules: starts the process, sends requests and validates responses."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.worker_process import Worker, WorkerLostError
from verifywise_mlflow.common.closeable import Closeable
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.verdict import CompleteVerdict, RuleResult, Verdict
from verifywise_mlflow.services.rule_worker_error import RuleWorkerUnavailableError

RULE_WORKER: Final = "verifywise_mlflow.services.rule_worker"


@dataclass(frozen=True, slots=True)
class EvaluationLimits:
    """Limits on one request to the worker."""

    memory_bytes: int = 256 * 1024**2
    """The bytes that an evaluation may allocate. A record with 10,000 files takes a tenth of this limit."""
    cpu_seconds: int = 3
    """The CPU time of a request. A hundred records and fifty rules take 0.1 s."""
    timeout_seconds: float = 60.0
    """The longest elapsed time of a request. It suffices on a busy machine."""
    batch_size: int = 100
    """The number of records in one request."""
    max_response_bytes: int = 64 * 1024**2


class _Response(BaseModel):
    """A verdict from the worker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule_id: str
    rule_version: int
    verdict: Verdict
    reason: str
    values_json: str
    origins_json: str
    thresholds_json: str
    day: date | None
    input_hash: str
    fingerprint: str

    def complete_verdict(self) -> CompleteVerdict:
        """Return the response as a verdict."""
        return CompleteVerdict(RuleResult(**self.model_dump(exclude={"fingerprint"})), self.fingerprint)


_RESPONSES = TypeAdapter(list[list[_Response]])


class RuleWorker(Closeable):
    """At most one worker process, which is started by the first request. Use it as a context manager.

    A forked process starts its own worker, and does not use its parent's.
    """

    def __init__(self, limits: EvaluationLimits | None = None) -> None:
        """Store the limits. The process starts with the first request."""
        self.limits = limits or EvaluationLimits()
        self._own: tuple[int, Worker] | None = None
        """The worker, with the ID of the process that started it."""
        self._sent_rules = b""

    @property
    def is_running(self) -> bool:
        """Whether a process that has served a request before will serve the next request."""
        return self._own is not None and self._own[0] == os.getpid()

    def close(self) -> None:
        """End the process. The next request starts a new one."""
        if self._own is not None and self.is_running:
            self._own[1].close()
        self._own = None

    def evaluate(self, rules: bytes, subjects: Sequence[Subject]) -> list[list[CompleteVerdict]]:
        """Return the verdicts on each record.

        Args:
            rules: The result of ``encode_rules``.
            subjects: the records.

        Raises:
            WorkerLostError: the process ended, exceeded a limit, or sent an invalid response. The process has been
                terminated.
            RuleWorkerUnavailableError: no process could be started.
        """
        try:
            return self._request(rules, subjects)
        except BaseException:
            self.close()
            raise

    def _request(self, rules: bytes, subjects: Sequence[Subject]) -> list[list[CompleteVerdict]]:
        process, seconds = self._started(), self.limits.timeout_seconds
        if self._sent_rules != rules:
            process.send(protocol.FILE, rules, seconds)
            self._sent_rules = rules
        process.send(protocol.DATA, pickle.dumps(list(subjects)), seconds)
        response = process.finish_request(self.limits.max_response_bytes, seconds)
        try:
            by_record = _RESPONSES.validate_python(json.loads(response))
        except (ValidationError, ValueError) as error:
            raise WorkerLostError("it returned an invalid response") from error
        if len(by_record) != len(subjects):
            raise WorkerLostError("it returned an invalid response")
        return [[verdict.complete_verdict() for verdict in of_record] for of_record in by_record]

    def _started(self) -> Worker:
        if self._own is not None and self.is_running:
            return self._own[1]
        try:
            worker = Worker(RULE_WORKER, self.limits.memory_bytes, self.limits.cpu_seconds)
        except WorkerLostError as error:  # no rule caused this, so there is no verdict
            raise RuleWorkerUnavailableError(error) from error
        self._own, self._sent_rules = (os.getpid(), worker), b""
        return worker


def encode_rules(rules: RuleSet, today: date | None) -> bytes:
    """Return rules and the day of an evaluation, encoded for the worker."""
    return pickle.dumps((rules, today))
