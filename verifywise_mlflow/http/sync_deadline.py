"""The deadline of a sync: a server that responds slowly, but within each timeout, must not delay a sync for hours.

After the deadline, no request is sent to the tenant's MLflow server, and a response that is being read ends. Object
stores have no deadline, but reading a version's files begins only if the deadline has not passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from verifywise_mlflow.http.errors import DeadlineExceededError

_extension: ContextVar[tuple[SyncDeadline, float] | None] = ContextVar("_extension", default=None)
"""The deadline that this thread has extended, and its new time. A thread that helps runs in a copy of the context."""


class SyncDeadline:
    """A time after which requests fail. Threads share it: one may limit it, and each may extend it for itself."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        """Set the deadline.

        Args:
            seconds: The seconds from now.
            now: Returns the time in seconds, on any clock that never goes back.
        """
        self._seconds = seconds
        self._now = now
        self._ends_at = now() + seconds
        self._has_ended = False

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline of this thread; zero or less after it."""
        if self._has_ended:
            return 0.0
        extension = _extension.get()
        ends_at = max(self._ends_at, extension[1]) if extension and extension[0] is self else self._ends_at
        return ends_at - self._now()

    def check(self) -> None:
        """Check that a request may be sent.

        Raises:
            DeadlineExceededError: The deadline has passed. The message names no seconds, since it may be stored.
        """
        if self.seconds_left <= 0:
            raise DeadlineExceededError(
                f"the sync has reached its deadline of {self._seconds:g} seconds (sync_deadline_seconds)"
            )

    @contextmanager
    def limited_to(self, share: float) -> Iterator[None]:
        """Allow only a share of the remaining time, so that some time is left for later work."""
        before = self._ends_at
        self._ends_at = self._now() + share * max(self.seconds_left, 0.0)
        try:
            yield
        finally:
            self._ends_at = before

    @contextmanager
    def extended_to(self, seconds: float) -> Iterator[None]:
        """Allow this thread at least this many seconds, for work that is useless unless it is completed."""
        token = _extension.set((self, self._now() + seconds))
        try:
            yield
        finally:
            _extension.reset(token)

    def end(self) -> None:
        """End the sync's time now, even if a thread has extended it: another part of the sync has failed."""
        self._has_ended = True
