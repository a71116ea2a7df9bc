"""The adaptive limit with simulated servers, which have a number of workers, a service time and a distance."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.http.adaptive_limit import FIRST_LIMIT, AdaptiveLimit, Permit
from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow_tests.connector.rest_clients import client_for
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
)

CEILING = 8


@dataclass
class SimulatedServer:
    """A server with some workers, reached over a distance, and tenants that always have a next request to send."""

    workers: int
    service_seconds: float
    round_trip_seconds: float = 0.0
    tenants: tuple[str, ...] = ("acme",)
    kinds: int = 1
    """Kinds of requests. After every ten requests, another kind joins the kinds that are sent in turn."""
    time: float = 0.0
    peak: int = 0
    answered: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.limit = AdaptiveLimit(lambda: self.time)
        self._free_at = [0.0] * self.workers
        self._under_way: list[tuple[float, int, float, str, AbstractContextManager[Permit], Permit]] = []
        self._sent = 0

    def answer(self, count: int, *, overloaded: bool = False) -> None:
        """Answer this many requests; with ``overloaded``, refuse them."""
        for _ in range(count):
            self._send_all()
            ends_at, _, sent_at, tenant, held, permit = heapq.heappop(self._under_way)
            self.time = ends_at
            if overloaded:
                permit.overloaded()
            else:
                permit.responded(ends_at - sent_at)
                self.answered[tenant] += 1
            held.__exit__(None, None, None)

    def _send_all(self) -> None:
        has_sent = True
        while has_sent:
            has_sent = False
            for tenant in self.tenants:
                try:
                    held = self.limit.acquire(tenant, CEILING, kind=self._next_kind(), timeout=0)
                except TimeoutError:
                    continue
                self._send(tenant, held)
                has_sent = True

    def _next_kind(self) -> str:
        return f"kind {self._sent % min(1 + self._sent // 10, self.kinds)}"

    def _send(self, tenant: str, held: AbstractContextManager[Permit]) -> None:
        worker = min(range(self.workers), key=lambda index: self._free_at[index])
        starts_at = max(self.time + self.round_trip_seconds / 2, self._free_at[worker])
        self._free_at[worker] = starts_at + self.service_seconds
        ends_at = self._free_at[worker] + self.round_trip_seconds / 2
        heapq.heappush(self._under_way, (ends_at, self._sent, self.time, tenant, held, held.__enter__()))
        self._sent += 1
        self.peak = max(self.peak, self.limit.in_flight)


@pytest.mark.parametrize(
    ("workers", "service", "round_trip"),
    [(2, 0.008, 0.02), (2, 0.008, 0.05), (2, 0.008, 0.1), (4, 0.003, 0.05), (4, 0.01, 0.2)],
)
def test_a_distant_server_gets_requests_up_to_the_ceiling(workers: int, service: float, round_trip: float) -> None:
    server = SimulatedServer(workers, service, round_trip)
    server.answer(100)
    began = server.time
    server.answer(1_000)

    assert server.peak == CEILING
    fastest = max(service / workers, (service + round_trip) / CEILING)
    assert (server.time - began) / 1_000 < 1.05 * fastest


def test_a_distant_server_gets_as_many_within_a_few_round_trips() -> None:
    server = SimulatedServer(workers=8, service_seconds=0.005, round_trip_seconds=0.1)
    server.answer(1 + 4 + 8)

    assert server.peak == CEILING
    assert server.time < 0.35


@pytest.mark.parametrize(("workers", "service"), [(1, 0.3), (2, 0.3), (1, 0.05)])
@pytest.mark.parametrize("kinds", [1, 6])
def test_a_server_that_is_slow_by_itself_is_kept_busy_and_not_flooded(workers: int, service: float, kinds: int) -> None:
    """A password-protected MLflow takes 0.3 s of its CPU for each request: more at once would only wait there."""
    server = SimulatedServer(workers, service, kinds=kinds)
    server.answer(30)
    began = server.time
    server.answer(500)

    assert server.peak <= 2 * workers + 2
    assert (server.time - began) / 500 == pytest.approx(service / workers, rel=0.02)


def test_a_tenant_reads_as_many_large_files_as_its_ceiling_allows() -> None:
    """Each file takes minutes to read, and the server answers other requests meanwhile."""
    limit = AdaptiveLimit()
    with ExitStack() as under_way:
        for _ in range(CEILING):
            under_way.enter_context(limit.acquire("acme", CEILING, kind="file", timeout=0)).responded(
                0.1, is_stream=True
            )
        with pytest.raises(TimeoutError):
            limit.acquire("acme", CEILING, kind="file", timeout=0)
        with limit.acquire("globex", CEILING, kind="listing", timeout=0):
            assert limit.in_flight == CEILING + 1

    assert limit.in_flight == 0


def test_refused_requests_halve_the_limit_once_and_it_recovers() -> None:
    server = SimulatedServer(4, 0.01, 0.1)
    server.answer(200)
    before = server.limit.limit
    server.answer(3, overloaded=True)

    assert server.limit.limit == before // 2  # they were in flight together
    server.answer(200)
    assert server.limit.limit == before


def test_a_server_that_becomes_slower_gets_fewer_requests_and_is_learned_anew() -> None:
    server = SimulatedServer(4, 0.01, 0.05)
    server.answer(300)
    server.workers, server.service_seconds, server._free_at = 1, 0.2, [server.time]
    server.answer(300)
    assert server.limit.limit <= 3

    server.workers, server._free_at = 8, [server.time] * 8
    server.answer(1_500)
    assert server.limit.limit >= CEILING


def test_waiting_tenants_take_turns() -> None:
    """Several requests of one tenant wait before two of another tenant, and are admitted in turn with them."""
    limit, admitted = AdaptiveLimit(), queue.SimpleQueue[str]()

    def wait(tenant: str) -> None:
        with limit.acquire(tenant, CEILING, kind="", timeout=30):
            admitted.put(tenant)
            may_end.acquire()

    may_end = threading.Semaphore(0)
    threads = [threading.Thread(target=wait, args=(tenant,)) for tenant in ["acme"] * 10 + ["globex"] * 2]
    for thread in threads:
        thread.start()
        while not (thread.ident and limit.in_flight + limit.waiting > threads.index(thread)):
            time.sleep(0.001)
    first = int(FIRST_LIMIT)
    order = [admitted.get(timeout=30) for _ in range(first)]
    for _ in threads[first:]:
        may_end.release()
        order.append(admitted.get(timeout=30))
    may_end.release(first)
    for thread in threads:
        thread.join()

    assert order[:first] == ["acme"] * first
    assert order[first:] == ["acme", "globex", "acme", "globex", *["acme"] * (8 - first)]


def test_no_tenant_exceeds_its_ceiling() -> None:
    server = SimulatedServer(2, 0.01, 0.1, tenants=("acme", "globex", "initech"))
    server.answer(900)

    assert CEILING < server.peak <= 3 * CEILING


def test_requests_whose_time_differs_by_kind_are_not_compared() -> None:
    limit = AdaptiveLimit()
    for seconds, kind in [(0.01, "file"), (3.0, "listing")] * 50:
        with limit.acquire("acme", CEILING, kind=kind, timeout=1) as permit:
            permit.responded(seconds)
    assert limit.limit >= 2


def test_waiting_ends_with_the_timeout() -> None:
    limit = AdaptiveLimit()
    held = [limit.acquire("acme", 2, kind="", timeout=0) for _ in range(2)]
    for permit in held:
        permit.__enter__()
    with pytest.raises(TimeoutError):
        limit.acquire("acme", 2, kind="", timeout=0.01)
    held[0].__exit__(None, None, None)
    with limit.acquire("acme", 2, kind="", timeout=0):
        assert limit.in_flight == 2


def test_two_tenants_with_sixteen_threads_do_not_flood_a_server_that_works_on_one_request_at_a_time() -> None:
    """MLflow with a password is such a server: each request costs CPU time, so more at once would only wait there."""
    worker, lock = threading.Lock(), threading.Lock()
    under_way, seen, answered = 0, list[int](), list[int]()

    def script(_server: HostileServer, _request: ReceivedRequest) -> bytes:
        nonlocal under_way
        with lock:
            under_way += 1
            seen.append(under_way)
        with worker:
            time.sleep(0.04)
        with lock:
            under_way -= 1
        return json_response({})

    def request(tenant: int) -> None:
        clients[tenant].get_json(MlflowEndpoint.GET_RUN)
        answered.append(tenant)

    with hostile_server(script) as server, ThreadPoolExecutor(16) as threads:
        clients = [client_for(server.uri, Limits()) for _ in range(2)]
        # The first tenant's eight threads wait before the second tenant's. Order of arrival would serve them first.
        list(threads.map(request, [0] * 8 + [1] * 8 + [0, 1] * 12))

    # Without the limit, sixteen would wait there. With it, a machine that is busy with other work shows up to six.
    assert max(seen) <= 8, seen
    # On a busy machine, the second tenant's threads start late. In the order of arrival, all eight would be its own.
    begin = answered.index(1)
    assert 3 <= sum(answered[begin : begin + 8]) <= 6, "tenants take turns"
