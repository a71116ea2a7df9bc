"""Hashes files and reads environment files without touching their bytes: processes that are locked in do both.

The product, which has credentials and connections, moves bytes and believes no answer by its looks. A process inside
that crashes, is killed or hangs costs the file it had in hand; the next file gets a new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import TracebackType

from verifywise_mlflow.artifacts.environment.reproducibility import read_environment
from verifywise_mlflow.artifacts.hashing import HashedBytes, NotHashed, over_the_limit
from verifywise_mlflow.artifacts.manifest import ModelSignature, RuntimeEnvironment
from verifywise_mlflow.artifacts.sandbox import frames
from verifywise_mlflow.artifacts.sandbox.limits import SandboxLimits
from verifywise_mlflow.artifacts.sandbox.lockdown import ATTEMPTS
from verifywise_mlflow.artifacts.sandbox.question import Question
from verifywise_mlflow.artifacts.sandbox.response_validation import (
    MAX_HASH_ANSWER,
    SenselessAnswerError,
    environment_in,
    hash_in,
    signature_in,
)
from verifywise_mlflow.artifacts.sandbox.worker_process import HASHING, PARSING, VERIFYING, Worker, WorkerLostError

ALWAYS_IN_FORCE = ("separate-process", "empty-environment")
"""What holds on every system, because it is how the processes are started."""
VERSIONS_A_PARSER = 50
"""Environments after which the parsing process is replaced, so that one that was taken over does not last."""
PARSING_CPU_SECONDS = 5 * VERSIONS_A_PARSER
MAX_REASON = 2_000
"""Characters of a sentence on a file that could not be had."""
STARTS_TRIED = 3
"""In a row. Where processes cannot be started at all, ten thousand files need not find out one by one."""


@dataclass(frozen=True, slots=True)
class ReadEnvironment:
    """What a version's environment files say, and which of them the sandbox did not survive."""

    environment: RuntimeEnvironment
    lost: Mapping[str, str]
    """File to the reason why nothing is known of it; empty in good times."""


class Sandbox:
    """To be closed, best as a context. Its processes start at first use.

    Not for use from several threads at once: each thread opens its own, and has to outlive it.
    """

    def __init__(
        self,
        limits: SandboxLimits | None = None,
        *,
        hashing: str = HASHING,
        parsing: str = PARSING,
        verifying: str = VERIFYING,
    ) -> None:
        self.limits = limits or SandboxLimits()
        self._reports: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self._hashing = _Post(self, hashing, self.limits.hashing_cpu_seconds)
        self._parsing = _Post(self, parsing, PARSING_CPU_SECONDS)
        self._verifying = _Post(self, verifying, PARSING_CPU_SECONDS)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its processes."""
        self._hashing.dismiss()
        self._parsing.dismiss()
        self._verifying.dismiss()

    @property
    def protections(self) -> tuple[str, ...]:
        """What was in force in every process so far, as stable words; empty while none was needed."""
        if not self._reports:
            return ()
        first, *others = (in_force for in_force, _ in self._reports)
        return (*ALWAYS_IN_FORCE, *(word for word in first if all(word in other for other in others)))

    @property
    def openings(self) -> tuple[str, ...]:
        """Those of ``ATTEMPTS`` that some process found itself able to do. None, where Linux grants what it has."""
        return tuple(word for word in ATTEMPTS if any(word not in refused for _, refused in self._reports))

    def hash(self, chunks: Iterable[bytes], max_bytes: int) -> HashedBytes | NotHashed:
        """Hash a stream of bytes, giving up past ``max_bytes`` of them.

        What ``chunks`` raises passes through, and what was sent of it is forgotten. What happens to the process inside
        is a value: the file is not hashed, and why.
        """
        size, seconds = 0, self.limits.stall_seconds
        try:
            worker = self._hashing.worker()
            for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    worker.forget(seconds)
                    return over_the_limit(max_bytes)
                worker.send(frames.DATA, chunk, seconds)
            hashed = hash_in(worker.answer(MAX_HASH_ANSWER, seconds), size)
        except (WorkerLostError, SenselessAnswerError) as error:
            self._hashing.dismiss()
            return NotHashed(f"not hashed: {_what_happened(error)}")
        except BaseException:
            self._hashing.start_over(seconds)
            raise
        if worker.bytes_sent >= self.limits.worker_bytes:
            self._hashing.dismiss()
        return hashed

    def environment(self, contents: Mapping[str, bytes], unreadable: Mapping[str, str]) -> ReadEnvironment:
        """Read environment files, as ``read_environment`` does. Never raises, whatever the bytes are.

        If the process does not survive it, each file is tried by itself, and what the others say is kept.
        """
        if not contents:
            return ReadEnvironment(read_environment({}, unreadable), {})  # there is nothing to be parsed
        try:
            return ReadEnvironment(self._parsed(contents, unreadable), {})
        except _NotParsedError as error:
            lost = {name: str(error) for name in contents} if len(contents) == 1 else self._deadly(contents)
        if not lost:  # each by itself is harmless
            lost = dict.fromkeys(contents, "the sandbox does not survive these files together")
        survivors = {name: content for name, content in contents.items() if name not in lost}
        try:
            environment = self._parsed(survivors, {**unreadable, **lost}) if survivors else None
        except _NotParsedError as error:
            lost = {**dict.fromkeys(contents, str(error)), **lost}
            environment = None
        return ReadEnvironment(environment or read_environment({}, {**unreadable, **lost}), lost)

    def signature(self, bundle: bytes, question: Question) -> ModelSignature:
        """Verify a model's signature. Never raises: what happens to the process inside is a reason."""
        seconds = self.limits.parse_seconds
        try:
            worker = self._verifying.worker()
            worker.send(frames.DATA, json.dumps(asdict(question)).encode(), seconds)
            worker.send(frames.FILE, b"", seconds)
            worker.send(frames.DATA, bundle, seconds)
            verified = signature_in(worker.answer(self.limits.answer_bytes, seconds), question.path)
        except (WorkerLostError, SenselessAnswerError) as error:
            self._verifying.dismiss()
            return ModelSignature(question.path, "not verified", _what_happened(error), None, None)
        except BaseException:
            self._verifying.dismiss()
            raise
        self._verifying.tasks += 1
        if self._verifying.tasks >= VERSIONS_A_PARSER:
            self._verifying.dismiss()
        return verified

    def _deadly(self, contents: Mapping[str, bytes]) -> dict[str, str]:
        lost: dict[str, str] = {}
        for name, content in contents.items():
            try:
                self._parsed({name: content}, {})
            except _NotParsedError as error:
                lost[name] = str(error)
        return lost

    def _parsed(self, contents: Mapping[str, bytes], unreadable: Mapping[str, str]) -> RuntimeEnvironment:
        seconds = self.limits.parse_seconds
        try:
            worker = self._parsing.worker()
            for name, reason in unreadable.items():
                worker.send(frames.UNREADABLE, f"{name}\0{reason[:MAX_REASON]}".encode(errors="replace"), seconds)
            for name, content in contents.items():
                worker.send(frames.FILE, name.encode(), seconds)
                worker.send(frames.DATA, content, seconds)
            environment = environment_in(worker.answer(self.limits.answer_bytes, seconds), contents)
        except (WorkerLostError, SenselessAnswerError) as error:
            self._parsing.dismiss()
            raise _NotParsedError(_what_happened(error)) from error
        except BaseException:
            self._parsing.dismiss()
            raise
        self._parsing.tasks += 1
        if self._parsing.tasks >= VERSIONS_A_PARSER:
            self._parsing.dismiss()
        return environment

    def note_start(self, worker: Worker) -> None:
        """Keep what a new process says of itself."""
        self._reports.append((worker.in_force, worker.refused))


class _NotParsedError(Exception):
    """The parsing process was lost over its files."""


class _Post:
    """Where one process at a time does one kind of work."""

    def __init__(self, sandbox: Sandbox, program: str, cpu_seconds: int) -> None:
        self._sandbox = sandbox
        self._program = program
        self._cpu_seconds = cpu_seconds
        self._worker: Worker | None = None
        self._failed_starts = 0
        self._failure = ""
        self.tasks = 0
        """That the present process has done."""

    def worker(self) -> Worker:
        """Give the process; start one where there is none.

        Raises:
            WorkerLostError: it cannot be started.
        """
        if self._worker is None:
            if self._failed_starts >= STARTS_TRIED:
                raise WorkerLostError(self._failure)
            try:
                self._worker = Worker(self._program, self._sandbox.limits.memory_bytes, self._cpu_seconds)
            except WorkerLostError as error:
                self._failed_starts, self._failure = self._failed_starts + 1, str(error)
                raise
            self._failed_starts = self.tasks = 0
            self._sandbox.note_start(self._worker)
        return self._worker

    def start_over(self, seconds: float) -> None:
        """Make the process forget what it has in hand; end it where that is not to be had."""
        try:
            if self._worker is not None:
                self._worker.forget(seconds)
        except WorkerLostError:
            self.dismiss()

    def dismiss(self) -> None:
        """End the process; the next file gets a new one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _what_happened(error: WorkerLostError | SenselessAnswerError) -> str:
    if isinstance(error, SenselessAnswerError):
        return "the sandbox gave an answer that makes no sense"
    return f"the sandbox failed: {error}"
