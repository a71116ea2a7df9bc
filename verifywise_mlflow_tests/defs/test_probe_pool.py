"""The probe pool's threads are limited in number, never delay a tick beyond the deadline, and are shared fairly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from verifywise_mlflow.defs.sensors.probe_pool import Probe, ProbePool, ProbeTimeoutError


def run_probes(
    pool: ProbePool, probes: list[Probe[str]], *, budget: float = 1.0, max_probe_seconds: float = 0.5
) -> dict[str, str]:
    """Return the type of the outcome of each probe that was started."""
    results = pool.run(probes, budget_seconds=budget, max_probe_seconds=max_probe_seconds)
    return {result.tenant_id: type(result.outcome).__name__ for result in results}


def all_threads_end(pool: ProbePool) -> bool:
    """Wait for the threads to end."""
    deadline = time.monotonic() + 10
    while pool.thread_count and time.monotonic() < deadline:
        time.sleep(0.01)
    return not pool.thread_count


def probe(name: str, send: Callable[[], str] = lambda: "well", server: str = "") -> Probe[str]:
    return Probe(name, server or name, send)


def test_hanging_servers_delay_neither_this_tick_nor_the_next_and_use_no_more_threads() -> None:
    pool = ProbePool(max_probes=3, max_probes_per_server=1)
    release = threading.Event()

    def hang() -> str:
        release.wait(30)
        return "late"

    hanging = [probe("h1", hang), probe("h2", hang)]
    healthy = [probe(f"w{index}") for index in range(20)]
    started_at = time.monotonic()
    first = run_probes(pool, [*hanging, *healthy])
    second = run_probes(pool, [*hanging, *healthy])
    assert time.monotonic() - started_at < 20
    assert first == second
    assert {first.pop("h1"), first.pop("h2")} == {ProbeTimeoutError.__name__}
    assert first == {f"w{index}": "str" for index in range(20)}
    assert pool.thread_count <= 3

    release.set()
    assert all_threads_end(pool)
    assert run_probes(pool, hanging) == {"h1": "str", "h2": "str"}, "a server that responds again is probed again"


def test_no_result_is_reported_if_every_thread_hangs() -> None:
    pool = ProbePool(max_probes=2, max_probes_per_server=1)
    release = threading.Event()
    hanging = [probe(name, lambda: str(release.wait(30))) for name in ("h1", "h2")]
    run_probes(pool, hanging, budget=0.2, max_probe_seconds=0.1)
    assert run_probes(pool, [probe("well")]) == {}
    release.set()
    assert all_threads_end(pool)


def test_tenants_of_a_hanging_server_leave_threads_to_other_servers() -> None:
    pool = ProbePool(max_probes=4, max_probes_per_server=2)
    release = threading.Event()
    shared = [probe(f"s{index}", lambda: str(release.wait(30)), server="shared") for index in range(9)]
    outcomes = run_probes(pool, [*shared, probe("w1"), probe("w2")])
    release.set()
    assert outcomes == {"s0": "ProbeTimeoutError", "s1": "ProbeTimeoutError", "w1": "str", "w2": "str"}
    assert all_threads_end(pool)


def test_an_error_concerns_its_own_tenant_only() -> None:
    def fail() -> str:
        raise ValueError("no")

    outcomes = run_probes(ProbePool(max_probes=1, max_probes_per_server=1), [probe("bad", fail), probe("well")])
    assert outcomes == {"bad": "ValueError", "well": "str"}


def test_probes_do_not_start_after_the_caller_has_stopped_iterating() -> None:
    pool = ProbePool(max_probes=1, max_probes_per_server=1)
    started_probes: list[str] = []

    def slowly(name: str) -> str:
        started_probes.append(name)
        time.sleep(0.05)
        return name

    results = pool.run(
        [probe(f"{index}", partial(slowly, f"{index}")) for index in range(100)],
        budget_seconds=30,
        max_probe_seconds=1,
    )
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator: a tick ends like this if our database fails
    assert all_threads_end(pool)
    assert len(started_probes) < 10
