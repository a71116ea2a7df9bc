"""Reading ahead keeps the order, runs a bounded number of reads ahead of processing, and waits for no lost read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from verifywise_mlflow.connector.read_ahead import pages_ahead, read_ahead, read_each
from verifywise_mlflow.http.errors import CircuitOpenError, ForbiddenError, HttpError, UnauthenticatedError

SECONDS = 5.0
"""A time limit that is longer than any of these tests needs."""


class Reads:
    """Counts reads, and can block them until they are released."""

    def __init__(self, *, held: bool = False) -> None:
        self.started: list[int] = []
        self.most_at_once = 0
        self._running = 0
        self._lock = threading.Lock()
        self.released = threading.Event()
        if not held:
            self.released.set()

    def read(self, key: int) -> int:
        with self._lock:
            self.started.append(key)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        self.released.wait(SECONDS)
        with self._lock:
            self._running -= 1
        return key * 10

    def wait_for(self, count: int) -> int:
        """Wait until this number of reads has started, and briefly for an excess read; return the number of reads."""
        deadline = time.monotonic() + SECONDS
        while len(self.started) < count and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        return len(self.started)


@pytest.mark.parametrize("ahead", [1, 2, 8, 50])
def test_results_come_in_the_order_of_the_keys(ahead: int) -> None:
    def read(key: int) -> int:
        time.sleep(0.002 * (key % 3))
        return key * 10

    assert list(read_ahead(range(20), read, ahead)) == [(key, key * 10) for key in range(20)]


@pytest.mark.parametrize("ahead", [1, 3])
def test_so_many_reads_start_beyond_the_one_that_is_processed(ahead: int) -> None:
    reads = Reads()
    results = read_ahead(range(20), reads.read, ahead)

    for processed in range(1, 4):
        next(results)
        assert reads.wait_for(processed + ahead) == processed + ahead


def test_reads_run_at_the_same_time() -> None:
    reads = Reads(held=True)
    results = read_ahead(range(20), reads.read, 4)
    consumer = threading.Thread(target=lambda: list(results), daemon=True)
    consumer.start()

    assert reads.wait_for(4) == 4
    reads.released.set()
    consumer.join(SECONDS)
    assert reads.most_at_once >= 4


def test_an_error_is_raised_in_order_and_no_further_read_starts() -> None:
    started: list[int] = []

    def read(key: int) -> int:
        started.append(key)
        if key == 2:
            raise CircuitOpenError("the circuit is open")
        return key

    results = read_ahead(range(100), read, 2)

    assert [next(results), next(results)] == [(0, 0), (1, 1)]
    with pytest.raises(CircuitOpenError):
        next(results)
    time.sleep(0.02)
    assert max(started) <= 3


def test_an_abandoned_read_is_not_waited_for() -> None:
    reads = Reads(held=True)
    results = read_ahead(iter([0, 1]), lambda key: key if key == 0 else reads.read(key), 1)
    next(results)
    reads.wait_for(1)
    began = time.monotonic()

    results.close()  # type: ignore[attr-defined]  # a generator

    assert time.monotonic() - began < SECONDS / 2
    reads.released.set()


def test_the_errors_of_objects_are_results_but_refused_credentials_end_the_reads() -> None:
    started: list[int] = []

    def read(key: int) -> str:
        started.append(key)
        if key == 1:
            raise ForbiddenError("403")
        if key == 4:
            raise UnauthenticatedError("401")
        return "object"

    seen: list[tuple[int, str | HttpError]] = []
    with pytest.raises(UnauthenticatedError):
        seen.extend(read_each(range(1_000), read, 3))

    time.sleep(0.02)
    assert max(started) <= 4 + 3


def test_the_next_page_is_read_while_one_is_processed_and_no_page_after_it() -> None:
    reads = Reads()

    def pages() -> Iterator[int]:
        for number in range(10):
            yield reads.read(number)

    iterator = pages_ahead(pages())

    for processed in range(1, 4):
        next(iterator)
        assert reads.wait_for(processed + 1) == processed + 1
    assert list(iterator) == [number * 10 for number in range(3, 10)]
    assert reads.most_at_once == 1, "a page token comes with the page before"


def test_a_page_that_cannot_be_read_raises_its_error_after_the_pages_before_it() -> None:
    def pages() -> Iterator[int]:
        yield 1
        raise UnauthenticatedError("401")

    iterator = pages_ahead(pages())

    assert next(iterator) == 1
    with pytest.raises(UnauthenticatedError):
        next(iterator)
