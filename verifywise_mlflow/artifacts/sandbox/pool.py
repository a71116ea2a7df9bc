"""Sandboxes for several threads: at most as many as there are cores, each opened when it is first needed.

The second one is opened only if the first keeps work waiting: a start costs more than parsing ten versions' files.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Final, Literal, TypeAlias

from verifywise_mlflow.artifacts.manifest import ModelSignature
from verifywise_mlflow.artifacts.sandbox.client import ParsedEnvironment, Sandbox
from verifywise_mlflow.artifacts.sandbox.protocol import SignatureRequest
from verifywise_mlflow.common.closeable import Closeable

START_AFTER_SECONDS: Final = 0.3
"""How long work waits for a worker that works, or starts, before another one is started."""

Work = Literal["parsing", "verifying"]


class SandboxPool(Closeable):
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
        self._starting: threading.Thread | None = None

    def close(self) -> None:
        """Stop all workers."""
        if self._starting:
            self._starting.join()
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

    def start_parsing_worker(self) -> None:
        """Start a worker that parses in the background, so that it is ready when the first files have been read."""
        with self._changed:
            sandbox = self._open()
            self._opened.append(sandbox)
            self._in_use["parsing"] += 1
        self._starting = threading.Thread(target=self._start, args=(sandbox,), name="sandbox-start", daemon=True)
        self._starting.start()

    def _start(self, sandbox: Sandbox) -> None:
        sandbox.start_parsing_worker()
        self._return("parsing", sandbox)

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
            self._return(work, sandbox)

    def _return(self, work: Work, sandbox: Sandbox) -> None:
        with self._changed:
            self._in_use[work] -= 1
            self._idle[work].append(sandbox)
            self._changed.notify_all()


AnySandbox: TypeAlias = Sandbox | SandboxPool
"""What parses: the sandbox of one thread, or those that several threads share."""
