"""Parses environment files and verifies signatures in sandboxed worker processes.

Our own process has credentials and connections, so it only moves bytes and validates every response. If a worker
crashes, is killed or hangs, only its current file is lost. The next file gets a new worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.manifest import ModelSignature, RuntimeEnvironment
from verifywise_mlflow.artifacts.sandbox import protocol
from verifywise_mlflow.artifacts.sandbox.limits import SandboxLimits
from verifywise_mlflow.artifacts.sandbox.lockdown import ESCAPE_ATTEMPTS, Isolation, isolation_problem
from verifywise_mlflow.artifacts.sandbox.protocol import SignatureRequest
from verifywise_mlflow.artifacts.sandbox.response_validation import (
    MAX_SIGNATURE_RESPONSE_BYTES,
    InvalidWorkerResponseError,
    validate_environment,
    validate_signature,
)
from verifywise_mlflow.artifacts.sandbox.worker_process import (
    PARSE_WORKER,
    VERIFY_WORKER,
    Worker,
    WorkerLostError,
)
from verifywise_mlflow.common.closeable import Closeable

PROCESS_PROTECTIONS = ("separate-process", "empty-environment")
"""Protections that exist on every system, because they result from the way in which the processes are started."""
MAX_REQUESTS_PER_WORKER = 50
"""The number of versions after which a parsing worker is replaced, so that a compromised worker does not last."""
MAX_CPU_S = 5 * MAX_REQUESTS_PER_WORKER
MAX_REASON_CHARS = 2_000
"""The maximum length, in characters, of the reason why a file could not be read."""
MAX_START_ATTEMPTS = 3
"""The number of consecutive failed starts after which no process is started: ten thousand files must not cause ten
thousand attempts."""


@dataclass(frozen=True, slots=True)
class ParsedEnvironment:
    """The environment that a version's files declare, and the files that crashed the parser."""

    environment: RuntimeEnvironment
    failed_files: Mapping[str, str]
    """File name to the reason of the failure; usually empty."""


class Sandbox(Closeable):
    """Owns one worker process for each kind of work, started on first use. Use it as a context manager.

    It is not thread-safe: only one thread at a time may use it. A ``SandboxPool`` has several sandboxes for several
    threads.
    """

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        *,
        isolation: Isolation = "best_effort",
        parsing: str = PARSE_WORKER,
        verifying: str = VERIFY_WORKER,
    ) -> None:
        self.limits = limits or SandboxLimits()
        self._isolation = isolation
        self._reports: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self._parsing = _WorkerSlot(self, parsing)
        self._verifying = _WorkerSlot(self, verifying)

    def close(self) -> None:
        """Stop the workers."""
        self._parsing.stop()
        self._verifying.stop()

    @property
    def protections(self) -> tuple[str, ...]:
        """Stable names of the protections that all workers so far had in force; empty before the first start."""
        if not self._reports:
            return ()
        first_report, *later_reports = (in_force for in_force, _ in self._reports)
        return (
            *PROCESS_PROTECTIONS,
            *(name for name in first_report if all(name in report for report in later_reports)),
        )

    @property
    def unblocked_attempts(self) -> tuple[str, ...]:
        """The ``ESCAPE_ATTEMPTS`` that succeeded in some worker. Empty if Linux grants every protection."""
        return tuple(name for name in ESCAPE_ATTEMPTS if any(name not in refused for _, refused in self._reports))

    @property
    def parses_left(self) -> int:
        """Requests that the running worker may still serve before it is replaced; 0 if no worker runs."""
        return MAX_REQUESTS_PER_WORKER - self._parsing.requests_served if self._parsing.is_running else 0

    def start_parsing_worker(self) -> None:
        """Start the parsing worker, if it does not run. The first ``parse_environment`` reports a failed start."""
        with suppress(WorkerLostError):
            self._parsing.worker()

    def parse_environment(self, contents: Mapping[str, bytes], read_errors: Mapping[str, str]) -> ParsedEnvironment:
        """Parse environment files as ``read_environment`` does. Malformed bytes never raise an error.

        If the files crash the worker, each file is parsed separately, and the results of the files that do not crash it
        are kept.
        """
        if not contents:
            return ParsedEnvironment(read_environment({}, read_errors), {})  # nothing to parse
        try:
            return ParsedEnvironment(self._parse(contents, read_errors), {})
        except _ParserLostError as error:
            failed_files = (
                {name: str(error) for name in contents} if len(contents) == 1 else self._find_crashing_files(contents)
            )
        if not failed_files:  # no file crashes the parser by itself
            failed_files = dict.fromkeys(contents, "the sandbox crashed over these files together")
        remaining = {name: content for name, content in contents.items() if name not in failed_files}
        try:
            environment = self._parse(remaining, {**read_errors, **failed_files}) if remaining else None
        except _ParserLostError as error:
            failed_files = {**dict.fromkeys(contents, str(error)), **failed_files}
            environment = None
        return ParsedEnvironment(environment or read_environment({}, {**read_errors, **failed_files}), failed_files)

    def verify_signature(self, bundle: bytes, request: SignatureRequest) -> ModelSignature:
        """Verify a model's signature. Never raises: the loss of the worker becomes the reason."""
        seconds = self.limits.parse_timeout_s
        try:
            worker = self._verifying.worker()
            worker.send(protocol.DATA, json.dumps(asdict(request)).encode(), seconds)
            worker.send(protocol.FILE, b"", seconds)
            worker.send(protocol.DATA, bundle, seconds)
            response = validate_signature(worker.finish_request(MAX_SIGNATURE_RESPONSE_BYTES, seconds), request.path)
        except (WorkerLostError, InvalidWorkerResponseError) as error:
            return ModelSignature(request.path, "not verified", _failure_reason(error), None, None)
        finally:
            self._verifying.stop()  # one process per bundle: no bundle can affect the verdict on another bundle
        # Imports cryptography, which few versions need, since most are not signed.
        from verifywise_mlflow.artifacts.sandbox.signature_confirmation import confirmed_signature

        return confirmed_signature(request, response)

    def _find_crashing_files(self, contents: Mapping[str, bytes]) -> dict[str, str]:
        failed_files: dict[str, str] = {}
        for name, content in contents.items():
            try:
                self._parse({name: content}, {})
            except _ParserLostError as error:
                failed_files[name] = str(error)
        return failed_files

    def _parse(self, contents: Mapping[str, bytes], read_errors: Mapping[str, str]) -> RuntimeEnvironment:
        seconds = self.limits.parse_timeout_s
        try:
            worker = self._parsing.worker()
            for name, reason in read_errors.items():
                worker.send(
                    protocol.READ_ERROR, f"{name}\0{reason[:MAX_REASON_CHARS]}".encode(errors="replace"), seconds
                )
            for name, content in contents.items():
                worker.send(protocol.FILE, name.encode(), seconds)
                worker.send(protocol.DATA, content, seconds)
            environment = validate_environment(worker.finish_request(self.limits.max_response_bytes, seconds), contents)
        except (WorkerLostError, InvalidWorkerResponseError) as error:
            self._parsing.stop()
            raise _ParserLostError(_failure_reason(error)) from error
        except BaseException:
            self._parsing.stop()
            raise
        self._parsing.requests_served += 1
        if self._parsing.requests_served >= MAX_REQUESTS_PER_WORKER:
            self._parsing.stop()
        return environment

    def admit(self, worker: Worker) -> None:
        """Record the protections that a new worker reports, before anything is sent to it.

        Raises:
            WorkerLostError: The tenant requires an isolation that this system does not grant.
        """
        problem = isolation_problem(worker.in_force, worker.refused) if self._isolation == "required" else None
        if problem:
            raise WorkerLostError(
                f"this system does not isolate it: {problem}. Use a kernel and a container profile that grant seccomp "
                "or Landlock, or set artifacts: {sandbox: best_effort} for the tenant"
            )
        self._reports.append((worker.in_force, worker.refused))


class _ParserLostError(Exception):
    """The parsing worker was lost. The message states how."""


class _WorkerSlot:
    """Holds at most one worker process for one kind of work."""

    def __init__(self, sandbox: Sandbox, program: str) -> None:
        self._sandbox = sandbox
        self._program = program
        self._worker: Worker | None = None
        self._failed_starts = 0
        self._failure = ""
        self.requests_served = 0
        """Requests that the present worker has served."""

    @property
    def is_running(self) -> bool:
        """Whether there is a worker."""
        return self._worker is not None

    def worker(self) -> Worker:
        """Return the worker; start a worker if there is none.

        Raises:
            WorkerLostError: The worker could not be started, or is not isolated as the tenant requires.
        """
        if self._worker is None:
            if self._failed_starts >= MAX_START_ATTEMPTS:
                raise WorkerLostError(self._failure)
            try:
                worker = Worker(self._program, self._sandbox.limits.max_memory_bytes, MAX_CPU_S)
                self._worker = worker
                self._sandbox.admit(worker)
            except WorkerLostError as error:
                self.stop()
                self._failed_starts, self._failure = self._failed_starts + 1, str(error)
                raise
            self._failed_starts = self.requests_served = 0
        return self._worker

    def stop(self) -> None:
        """Stop the worker. The next request starts a new worker."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _failure_reason(error: WorkerLostError | InvalidWorkerResponseError) -> str:
    if isinstance(error, InvalidWorkerResponseError):
        return "the sandbox returned an invalid response"
    return f"the sandbox failed: {error}"
