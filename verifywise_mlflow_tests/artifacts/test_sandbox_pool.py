"""Sandboxes that threads share: no file is lost because a thread ends, and no sandbox waits for a slow server."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from verifywise_mlflow.artifacts.hashing import FileHash
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.pool import READ_AHEAD_BYTES, SandboxPool


def in_thread(function: Callable[[], object]) -> object:
    """Call a function in a thread that ends with it; return its result."""
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join(timeout=30)
    return results[0]


@pytest.fixture
def opened() -> list[Sandbox]:
    """The sandboxes that the pool has opened."""
    return []


@pytest.fixture
def pool(opened: list[Sandbox]) -> Iterator[SandboxPool]:
    def open_sandbox() -> Sandbox:
        opened.append(Sandbox())
        return opened[-1]

    with SandboxPool(open_sandbox) as pool:
        yield pool


def test_a_worker_outlives_the_thread_that_needed_it_first(pool: SandboxPool, opened: list[Sandbox]) -> None:
    """Linux kills a process together with the thread that started it."""
    for content in (b"one", b"two", b"three"):
        assert isinstance(in_thread(lambda content=content: pool.hash_file([content], 10)), FileHash)  # type: ignore[misc]

    assert len(opened) == 1


def test_files_in_memory_share_as_many_sandboxes_as_there_are_cores(pool: SandboxPool, opened: list[Sandbox]) -> None:
    with ThreadPoolExecutor(16) as threads:
        hashed = list(threads.map(lambda number: pool.hash_file([b"%d" % number], 10), range(64)))

    assert all(isinstance(item, FileHash) for item in hashed)
    assert len(opened) <= (os.cpu_count() or 1)


def test_a_second_worker_is_started_only_for_work_that_waits_for_the_first(
    pool: SandboxPool, opened: list[Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifywise_mlflow.artifacts.sandbox.pool.START_AFTER_SECONDS", 30)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: pool.hash_file([b"%d" % number], 10), range(32)))
        list(threads.map(lambda _: pool.parse_environment({"conda.yaml": b"dependencies: []"}, {}), range(8)))

    assert len(opened) == 2, "one hashes, one parses"


def test_large_files_that_arrive_slowly_hold_up_no_other_file(pool: SandboxPool) -> None:
    large_files = 2 * (os.cpu_count() or 1)
    arrived = threading.Event()
    began = threading.Semaphore(0)

    def slow() -> Iterator[bytes]:
        yield bytes(READ_AHEAD_BYTES + 1)
        began.release()
        arrived.wait(30)
        yield b"end"

    with ThreadPoolExecutor(large_files) as threads:
        large = [threads.submit(pool.hash_file, slow(), 2 * READ_AHEAD_BYTES) for _ in range(large_files)]
        for _ in large:
            assert began.acquire(timeout=30)
        assert isinstance(pool.hash_file([b"small"], 10), FileHash)
        arrived.set()

    hashed = [future.result() for future in large]
    assert [getattr(item, "size", None) for item in hashed] == [READ_AHEAD_BYTES + 4] * large_files
