"""Sandboxes for several threads. At most one sandbox per core works at a time.

Each sandbox is opened when it is first needed. A second sandbox is opened only if work waits for the first sandbox: a
start costs more than parsing ten versions' files.
"""

from __future__ import annotations

import os
import sys
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
"""How long work waits for a busy or starting worker before another worker is started."""

REPLACE_AT_LEFT: Final = 10
"""The number of remaining requests at which a parsing worker's successor is started, so that no thread waits for it."""

Work = Literal["parsing", "verifying"]


class SandboxPool(Closeable):
    """Sandboxes that threads share. Use it as a context manager."""

    def __init__(self, open_sandbox: Callable[[], Sandbox]) -> None:
        """Prepare the pool; no sandbox is opened yet."""
        self._open = open_sandbox
        self._changed = threading.Condition()
        """Held while a sandbox is taken or returned."""
        self._cores = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._idle: defaultdict[Work, list[Sandbox]] = defaultdict(list)
        """Kind of work to its idle sandboxes, so that a starting worker does not delay another kind of work."""
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
        """Start a parsing worker in the background, so that it is ready when the first files have been read."""
        with self._changed:
            sandbox = self._take("parsing", _has_no_worker)
            self._starting = threading.Thread(target=self._start, args=(sandbox,), name="sandbox-start", daemon=True)
        self._starting.start()

    def _start(self, sandbox: Sandbox) -> None:
        sandbox.start_parsing_worker()
        self._return("parsing", sandbox)

    def parse_environment(self, contents: Mapping[str, bytes], read_errors: Mapping[str, str]) -> ParsedEnvironment:
        """Parse environment files, as ``Sandbox.parse_environment`` does."""
        with self._cores, self._sandbox("parsing") as sandbox:
            parsed = sandbox.parse_environment(contents, read_errors)
            if contents and sandbox.parses_left == REPLACE_AT_LEFT:
                self._start_successor()
            return parsed

    def _start_successor(self) -> None:
        """Start a successor of a worker that is about to end.

        No worker is started if another worker is being started already, or if every core has a worker.
        """
        with self._changed:
            is_starting = self._starting is not None and self._starting.is_alive()
            has_core = len(self._opened) < (os.cpu_count() or 1) or any(map(_has_no_worker, self._idle["parsing"]))
            if has_core and not is_starting:
                self.start_parsing_worker()

    def verify_signature(self, bundle: bytes, request: SignatureRequest) -> ModelSignature:
        """Verify a model's signature, as ``Sandbox.verify_signature`` does."""
        with self._cores, self._sandbox("verifying") as sandbox:
            return sandbox.verify_signature(bundle, request)

    @contextmanager
    def _sandbox(self, work: Work) -> Iterator[Sandbox]:
        with self._changed:
            # A signature gets a worker of its own in any case.
            if work != "verifying":
                self._changed.wait_for(
                    lambda: not self._in_use[work] or any(idle.parses_left for idle in self._idle[work]),
                    START_AFTER_SECONDS,
                )
            sandbox = self._take(work, lambda _: True)
        try:
            yield sandbox
        finally:
            self._return(work, sandbox)

    def _take(self, work: Work, is_fit: Callable[[Sandbox], bool]) -> Sandbox:
        """Return an idle sandbox for which ``is_fit`` is true; open a sandbox if there is none.

        Among several such sandboxes, the sandbox whose worker ends first is returned.
        """
        sandbox = min(filter(is_fit, self._idle[work]), key=lambda idle: idle.parses_left or sys.maxsize, default=None)
        if sandbox:
            self._idle[work].remove(sandbox)
        else:
            sandbox = self._open()
            self._opened.append(sandbox)
        self._in_use[work] += 1
        return sandbox

    def _return(self, work: Work, sandbox: Sandbox) -> None:
        with self._changed:
            self._in_use[work] -= 1
            self._idle[work].append(sandbox)
            self._changed.notify_all()


def _has_no_worker(sandbox: Sandbox) -> bool:
    return not sandbox.parses_left


AnySandbox: TypeAlias = Sandbox | SandboxPool
"""The sandbox of one thread, or the pool that several threads share."""
