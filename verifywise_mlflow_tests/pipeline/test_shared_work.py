"""Threads without other work help with the items of another thread's map; its results keep their order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from verifywise_mlflow.http.sync_deadline import SyncDeadline
from verifywise_mlflow.pipeline.shared_work import SharedWork

HELPERS = 3
MAX_AHEAD = 8


@contextmanager
def helped_work() -> Iterator[SharedWork]:
    """Yield shared work that three threads help with until the block ends."""
    work, is_over = SharedWork(MAX_AHEAD), threading.Event()
    threads = [threading.Thread(target=work.help, args=(is_over.is_set,)) for _ in range(HELPERS)]
    for thread in threads:
        thread.start()
    try:
        yield work
    finally:
        is_over.set()
        work.recheck()
        for thread in threads:
            thread.join(timeout=30)


def meeting() -> Callable[[int], int]:
    """Return a function whose first calls return only once the maximum number of threads has called it."""
    barrier = threading.Barrier(1 + HELPERS)

    def call(number: int) -> int:
        if number < 1 + HELPERS:
            barrier.wait(timeout=30)
        return number * number

    return call


@pytest.mark.parametrize("count", [1 + HELPERS, 1_000])
def test_idle_threads_help_and_the_results_keep_their_order(count: int) -> None:
    with helped_work() as work:
        assert list(work(meeting(), range(count))) == [number * number for number in range(count)]


def test_without_helpers_the_thread_calls_alone() -> None:
    work = SharedWork(MAX_AHEAD)

    assert list(work(str, range(100))) == [str(number) for number in range(100)]
    assert list(work(str, [])) == []


def test_a_returned_exception_is_a_result() -> None:
    with helped_work() as work:
        assert [type(result) for result in work(ValueError, range(3))] == [ValueError] * 3


def test_no_more_results_are_held_than_allowed() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    with helped_work() as work:
        for yielded, _ in enumerate(work(str, items()), 1):
            assert taken - yielded <= MAX_AHEAD + 1


def test_an_exception_is_raised_instead_of_its_result_and_ends_the_map() -> None:
    calls: list[int] = []

    def call(number: int) -> int:
        calls.append(number)
        return 1 // (number - 5)

    with helped_work() as work:
        results = work(call, range(1_000))
        assert [next(results) for _ in range(5)] == [-1] * 4 + [1 // -1]
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(work(str, range(3))) == ["0", "1", "2"]

    assert len(calls) <= 6 + MAX_AHEAD + 1 + HELPERS


def test_an_unfinished_map_leaves_the_helpers_free() -> None:
    with helped_work() as work:
        unfinished = work(str, range(1_000))
        assert next(unfinished) == "0"
        unfinished.close()  # type: ignore[attr-defined]  # a generator
        assert list(work(meeting(), range(10))) == [number * number for number in range(10)]


def test_helpers_have_the_deadline_of_the_thread_that_they_help() -> None:
    deadline, call = SyncDeadline(-1.0), meeting()

    def seconds_left(number: int) -> float:
        call(number)
        return deadline.seconds_left

    with helped_work() as work, deadline.extended_to(100):
        assert all(0 < seconds <= 100 for seconds in work(seconds_left, range(20)))
    assert deadline.seconds_left < 0
