"""Asks many servers at once, without being held up by those that hang.

A tick has to end in time, and a thread cannot be stopped. So a server that hangs is left to its socket's time-outs on
a thread that nobody waits for; there are never more threads than places, over all ticks; and whose thread still hangs
is not asked anew. The threads are daemons: they do not hold up the end of the process either.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class StillHangingError(Exception):
    """A question that was put to a server has had no answer yet, nor a time-out."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked of one tenant's server."""

    tenant_id: str
    server: str
    """Tenants may share one. It is not asked more at once because of that."""
    ask: Callable[[], T]


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """What became of a question."""

    tenant_id: str
    outcome: T | BaseException
    """The answer, or what was raised in its place."""


class _Round(Generic[T]):
    """The questions of one tick, until they are put."""

    def __init__(self, questions: Sequence[Question[T]], *, last_begin: float) -> None:
        self.last_begin = last_begin
        """On the monotonic clock. A question that begins later may not end within the tick."""
        self.begun: set[str] = set()
        self.replies: SimpleQueue[Reply[T]] = SimpleQueue()
        self._waiting: dict[str, deque[tuple[int, Question[T]]]] = {}
        for index, question in enumerate(questions):
            self._waiting.setdefault(question.server, deque()).append((index, question))

    @property
    def is_open(self) -> bool:
        """Whether there are questions left to put."""
        return bool(self._waiting)

    def close(self) -> None:
        """Put no question any more."""
        self._waiting.clear()

    def take(self, busy: Mapping[str, int], places_a_server: int) -> Question[T] | None:
        """Take the first question whose server has a place."""
        free = (server for server in self._waiting if busy.get(server, 0) < places_a_server)
        server = min(free, key=lambda server: self._waiting[server][0][0], default=None)
        if server is None:
            return None
        _, question = self._waiting[server].popleft()
        if not self._waiting[server]:
            del self._waiting[server]
        self.begun.add(question.tenant_id)
        return question


class Sweep:
    """Places for questions under way, shared by all ticks of one sensor in this process."""

    def __init__(self, *, places: int, places_a_server: int) -> None:
        self._places = places
        self._places_a_server = places_a_server
        self._asking: dict[str, str] = {}  # by tenant, its server
        self._threads = 0
        self._changed = threading.Condition()

    @property
    def threads(self) -> int:
        """How many threads are at work, those included that still hang from earlier ticks."""
        return self._threads

    def ask(
        self, questions: Sequence[Question[T]], *, budget_seconds: float, longest_seconds: float
    ) -> Iterator[Reply[T]]:
        """Put the questions in their order; give the replies as they come, for no longer than the budget.

        A question for which there was no time or no place has no reply. One that was put and has no answer when the
        budget is spent has ``StillHangingError``; none is put in the last ``longest_seconds``, so that this is its own
        fault.
        """
        ends_at = time.monotonic() + budget_seconds
        with self._changed:
            hanging = [question.tenant_id for question in questions if question.tenant_id in self._asking]
            fresh = [question for question in questions if question.tenant_id not in self._asking]
            starting = min(self._places - self._threads, len(fresh))
            self._threads += starting
        for tenant_id in hanging:
            yield Reply(tenant_id, StillHangingError("what an earlier tick asked has no answer yet"))
        if not starting:
            return
        asked = _Round(fresh, last_begin=ends_at - longest_seconds)
        for _ in range(starting):
            threading.Thread(target=self._work, args=(asked,), daemon=True, name="sweep").start()
        try:
            yield from self._replies(asked, len(fresh), ends_at)
        finally:
            with self._changed:
                asked.close()
                self._changed.notify_all()

    def _replies(self, asked: _Round[T], count: int, ends_at: float) -> Iterator[Reply[T]]:
        replied: set[str] = set()
        while len(replied) < count and (left := ends_at - time.monotonic()) > 0:
            if time.monotonic() > asked.last_begin and len(replied) == len(asked.begun):
                return  # all that had begun has ended, and nothing begins any more
            try:
                # Not for all that is left: nobody tells when the last question under way was the last one to be put.
                reply = asked.replies.get(timeout=min(left, 0.5))
            except Empty:
                continue
            replied.add(reply.tenant_id)
            yield reply
        with self._changed:
            asked.close()
            unanswered = sorted(asked.begun - replied)
        for tenant_id in unanswered:
            yield Reply(tenant_id, StillHangingError("no answer by the end of the tick"))

    def _work(self, asked: _Round[T]) -> None:
        try:
            while question := self._next(asked):
                reply: Reply[T]
                try:
                    reply = Reply(question.tenant_id, question.ask())
                except BaseException as error:  # noqa: BLE001  # whatever it is, it is this tenant's: the others go on
                    reply = Reply(question.tenant_id, error)
                with self._changed:
                    del self._asking[question.tenant_id]
                    self._changed.notify()
                asked.replies.put(reply)
        finally:
            with self._changed:
                self._threads -= 1

    def _next(self, asked: _Round[T]) -> Question[T] | None:
        """Take the next question; wait while the servers of all that are left have no place."""
        with self._changed:
            while asked.is_open and (left := asked.last_begin - time.monotonic()) > 0:
                if question := asked.take(Counter(self._asking.values()), self._places_a_server):
                    self._asking[question.tenant_id] = question.server
                    return question
                self._changed.wait(left)
            return None
