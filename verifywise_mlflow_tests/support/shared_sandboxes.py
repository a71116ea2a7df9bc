"""Lends the worker processes of one sync to the next one.

Each sync that reads files starts one or two worker processes, which takes a third of the time of many tests. Tests of
the sandbox itself use worker processes of their own.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable
from contextlib import suppress
from functools import partial

from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.pool import SandboxPool

_idle: defaultdict[Hashable, list[Sandbox]] = defaultdict(list)
"""The sandboxes that no pool uses, by the arguments that they were opened with."""
os.register_at_fork(after_in_child=_idle.clear)  # two processes must not talk to one worker


class LendingPool(SandboxPool):
    """A pool that uses idle sandboxes first, and does not stop its sandboxes at the end."""

    def __init__(self, open_sandbox: partial[Sandbox]) -> None:
        """Store the function that opens a sandbox."""
        self._lent = _idle[open_sandbox.func, open_sandbox.args, tuple(sorted(open_sandbox.keywords.items()))]
        self._open_new = open_sandbox
        super().__init__(self._open_idle)

    def close(self) -> None:
        """Give all sandboxes back for the next pool."""
        if self._starting:
            self._starting.join()
        self._lent += reversed(self._opened)  # the first sandbox is needed first

    def _open_idle(self) -> Sandbox:
        with suppress(IndexError):
            return self._lent.pop()
        return self._open_new()


def stop_shared_sandboxes() -> None:
    """Stop the workers of all idle sandboxes."""
    for sandboxes in _idle.values():
        while sandboxes:
            sandboxes.pop().close()
