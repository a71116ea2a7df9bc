"""Sandboxes that threads share: no file is lost because a thread ends, and few workers are started."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil  # type: ignore[import-untyped]
import pytest

from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.pool import SandboxPool


def parsed(pool: SandboxPool) -> str | None:
    """Parse an environment file; return the Python version that it names."""
    return pool.parse_environment({"conda.yaml": b"dependencies: [python=3.9]"}, {}).environment.python_version


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
    for _ in range(3):
        assert in_thread(lambda: parsed(pool)) == "3.9"

    assert len(opened) == 1


def test_threads_share_as_many_sandboxes_as_there_are_cores(pool: SandboxPool, opened: list[Sandbox]) -> None:
    with ThreadPoolExecutor(16) as threads:
        versions = list(threads.map(lambda _: parsed(pool), range(64)))

    assert versions == ["3.9"] * 64
    assert len(opened) <= (os.cpu_count() or 1)


def test_a_second_worker_is_started_only_for_work_that_waits_for_the_first(
    pool: SandboxPool, opened: list[Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifywise_mlflow.artifacts.sandbox.pool.START_AFTER_SECONDS", 30)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: parsed(pool), range(32)))

    assert len(opened) == 1


def test_a_worker_that_was_started_in_advance_is_used(
    pool: SandboxPool, opened: list[Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifywise_mlflow.artifacts.sandbox.pool.START_AFTER_SECONDS", 30)
    pool.start_parsing_worker()

    assert parsed(pool) == "3.9"
    assert len(opened) == 1
    assert pool.protections


def test_the_worker_that_follows_one_is_started_before_that_one_ends(
    pool: SandboxPool, opened: list[Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifywise_mlflow.artifacts.sandbox.pool.START_AFTER_SECONDS", 30)
    monkeypatch.setattr("verifywise_mlflow.artifacts.sandbox.pool.REPLACE_AT_LEFT", 1)
    monkeypatch.setattr("verifywise_mlflow.artifacts.sandbox.client.MAX_REQUESTS_PER_WORKER", 2)
    monkeypatch.setattr("verifywise_mlflow.artifacts.sandbox.pool.os.cpu_count", lambda: 2)
    for _ in range(3):
        parsed(pool)

    assert [sandbox.parses_left for sandbox in opened] == [0, 1]


def test_a_pool_can_be_closed_while_a_worker_starts(pool: SandboxPool, opened: list[Sandbox]) -> None:
    before = set(psutil.Process().children())
    pool.start_parsing_worker()
    pool.close()

    assert set(psutil.Process().children()) <= before
