"""Lets idle threads help the threads that read one version's many files or folders.

A thread that maps a function over items calls the function itself, and each idle thread takes items, too. So one
version with a thousand files is read as fast as a hundred versions with ten files each, without additional threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class SharedWork:
    """The maps under way, and the threads that help. An instance is a ``MapInOrder``."""

    def __init__(self, max_ahead: int) -> None:
        """Store the maximum number of results that may wait for an earlier result. This limit bounds memory."""
        self._max_ahead = max_ahead
        self._changed = threading.Condition()
        """Held briefly whenever an item is taken or its result arrives."""
        self._maps: deque[_Map[object, object]] = deque()

    def __call__(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Call the function for each item, with the help of idle threads; yield the results in order."""
        shared = _Map(function, items, self._changed, self._max_ahead)
        with self._changed:
            self._maps.append(shared)  # type: ignore[arg-type]  # helpers only call its methods without items
            self._changed.notify_all()
        try:
            yield from shared.results()
        finally:
            with self._changed:
                self._maps.remove(shared)  # type: ignore[arg-type]
            shared.end()

    def help(self, is_over: Callable[[], bool]) -> None:
        """Help with the maps of other threads until ``is_over`` returns true. ``recheck`` calls ``is_over`` again."""
        while True:
            with self._changed:
                while not (shared := self._map_in_need()):
                    if is_over():
                        return
                    self._changed.wait()
            shared.context.copy().run(shared.call_next)

    def recheck(self) -> None:
        """Let the helping threads check again whether they are needed."""
        with self._changed:
            self._changed.notify_all()

    def _map_in_need(self) -> _Map[object, object] | None:
        for _ in range(len(self._maps)):
            self._maps.rotate(-1)
            if self._maps[-1].can_take:
                return self._maps[-1]
        return None


@dataclass(frozen=True, slots=True)
class _Failure:
    """Wraps an exception that a call raised, to distinguish it from an exception that a call returned."""

    error: BaseException


class _Map(Generic[T, R]):
    """One function and its items."""

    def __init__(
        self, function: Callable[[T], R], items: Iterable[T], changed: threading.Condition, max_ahead: int
    ) -> None:
        self.context = copy_context()
        """The context of the thread that needs the results, with its deadline."""
        self._function = function
        self._items = iter(items)
        self._changed = changed
        self._max_ahead = max_ahead
        self._results: dict[int, R | _Failure] = {}
        self._taken = self._yielded = self._running = 0
        self._is_exhausted = False

    @property
    def can_take(self) -> bool:
        """Whether there may be another item to take now."""
        return not self._is_exhausted and self._taken - self._yielded <= self._max_ahead

    def call_next(self) -> None:
        """Take the next item, if there is one, and call the function for it."""
        with self._changed:
            if not self.can_take:
                return
            try:
                item = next(self._items)
            except StopIteration:
                self._is_exhausted = True
                self._changed.notify_all()
                return
            index = self._taken
            self._taken += 1
            self._running += 1
        result: R | _Failure
        try:
            result = self._function(item)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that needs the result
            result = _Failure(error)
        with self._changed:
            self._running -= 1
            self._results[index] = result
            self._changed.notify_all()

    def results(self) -> Iterator[R]:
        """Yield the results in order; while waiting for a result, call the function for further items."""
        while True:
            with self._changed:
                while self._yielded not in self._results and not self.can_take:
                    if self._is_exhausted and self._yielded == self._taken:
                        return
                    self._changed.wait()
                is_ready = self._yielded in self._results
                if is_ready:
                    result = self._results.pop(self._yielded)
                    self._yielded += 1
                    if self._taken - self._yielded == self._max_ahead:
                        self._changed.notify_all()
            if not is_ready:
                self.call_next()
            elif isinstance(result, _Failure):
                raise result.error
            else:
                yield result

    def end(self) -> None:
        """Take no further item, and wait for the calls under way."""
        with self._changed:
            self._is_exhausted = True
            while self._running:
                self._changed.wait()
