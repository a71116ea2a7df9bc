"""Sandboxes for several threads: as many as work at the same time, each opened when it is first needed.

Work whose bytes are in memory gets as many sandboxes as there are cores, the second one only if the first keeps it
waiting: a start costs more than hashing a hundred small files. A file that is still being read has a sandbox of its own
until its end, which may be far off.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from types import TracebackType
from typing import Final, Literal, TypeAlias

from verifywise_mlflow.artifacts.hashing import FileHash, NotHashed
from verifywise_mlflow.artifacts.manifest import ModelSignature
from verifywise_mlflow.artifacts.sandbox.client import ParsedEnvironment, Sandbox
from verifywise_mlflow.artifacts.sandbox.protocol import SignatureRequest

START_AFTER_SECONDS: Final = 0.3
"""How long work waits for a worker that works, or starts, before another one is started."""
READ_AHEAD_BYTES: Final = 1024 * 1024
"""A file of at most this size is read before it is hashed, so that no sandbox waits for a slow server."""

Work = Literal["hashing", "parsing", "verifying"]


class SandboxPool:
    """Sandboxes that threads share. Use it as a context manager."""

    def __init__(self, open_sandbox: Callable[[], Sandbox]) -> None:
        """Take what opens a sandbox; none is opened yet."""
        self._open = open_sandbox
        self._changed = threading.Condition()
        """Held while a sandbox is taken or returned."""
        self._cores = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._idle: defaultdict[Work, list[Sandbox]] = defaultdict(list)
        """For each kind of work, so that a worker that starts holds up no other kind. The one that was used last comes
        last, and is used next: those at the beginning stay unused."""
        self._in_use: Counter[Work] = Counter()
        self._opened: list[Sandbox] = []

    def __enter__(self) -> SandboxPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all workers."""
        for sandbox in self._opened:
            sandbox.close()

    @property
    def protections(self) -> tuple[str, ...]:
        """Names of the protections that every worker had in force so far; empty before the first start."""
        first, *others = [used.protections for used in self._opened if used.protections] or [()]
        return tuple(name for name in first if all(name in protections for protections in others))

    @property
    def unblocked_attempts(self) -> tuple[str, ...]:
        """The attempts to escape that succeeded in some worker. Empty if the system grants every protection."""
        return tuple(dict.fromkeys(chain.from_iterable(used.unblocked_attempts for used in self._opened)))

    def hash_file(self, chunks: Iterable[bytes], max_bytes: int) -> FileHash | NotHashed:
        """Hash a stream of bytes and stop after ``max_bytes``, as ``Sandbox.hash_file`` does."""
        iterator = iter(chunks)
        beginning: list[bytes] = []
        size = 0
        for chunk in iterator:
            beginning.append(chunk)
            size += len(chunk)
            if size > READ_AHEAD_BYTES:
                with self._sandbox("hashing") as sandbox:
                    return sandbox.hash_file(chain(beginning, iterator), max_bytes)
        with self._cores, self._sandbox("hashing") as sandbox:
            return sandbox.hash_file(beginning, max_bytes)

    def parse_environment(self, contents: Mapping[str, bytes], read_errors: Mapping[str, str]) -> ParsedEnvironment:
        """Parse environment files, as ``Sandbox.parse_environment`` does."""
        with self._cores, self._sandbox("parsing") as sandbox:
            return sandbox.parse_environment(contents, read_errors)

    def verify_signature(self, bundle: bytes, request: SignatureRequest) -> ModelSignature:
        """Verify a model's signature, as ``Sandbox.verify_signature`` does."""
        with self._cores, self._sandbox("verifying") as sandbox:
            return sandbox.verify_signature(bundle, request)

    @contextmanager
    def _sandbox(self, work: Work) -> Iterator[Sandbox]:
        with self._changed:
            # A signature gets a worker of its own in any case.
            if self._in_use[work] and not self._idle[work] and work != "verifying":
                self._changed.wait_for(lambda: self._idle[work], START_AFTER_SECONDS)
            if self._idle[work]:
                sandbox = self._idle[work].pop()
            else:
                sandbox = self._open()
                self._opened.append(sandbox)
            self._in_use[work] += 1
        try:
            yield sandbox
        finally:
            with self._changed:
                self._in_use[work] -= 1
                self._idle[work].append(sandbox)
                self._changed.notify_all()


AnySandbox: TypeAlias = Sandbox | SandboxPool
"""What hashes and parses: the sandbox of one thread, or those that several threads share."""
