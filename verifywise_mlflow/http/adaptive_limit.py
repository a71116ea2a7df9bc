"""Backpressure: a limit on concurrent requests to one server, which grows until the server slows down.

The algorithm is additive increase and multiplicative decrease (Chiu and Jain, 1989), driven by delay as in TCP Vegas
(Brakmo and Peterson, 1995). A request that takes longer than the fastest request of its kind has waited behind our
other requests. Until a request has waited, the limit doubles (slow start; Jacobson, 1988). The delays of a distant
server are long, but do not grow with the load, so the server gets many requests. The delays of a small server are
short, but grow with the load, so the server gets few. docs/adr/0020-adaptive-concurrency.md has the alternatives and
the measurements.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

FIRST_LIMIT: Final = 4.0
"""The number of concurrent requests until the server's delays are known."""
MAX_LIMIT: Final = 32.0
"""The maximum number of concurrent requests to one server, from all its tenants. Each tenant has a lower ceiling."""
SLOW_START_LIMIT: Final = 8.0
"""The limit doubles up to this number while requests take less than ``SLOW_START_RATIO`` times the shortest delay of
their kind."""
SLOW_START_RATIO: Final = 1.2
GROWTH_RATIO: Final = 2.0
"""The limit grows while requests take less than this many times the shortest delay of their kind."""
CUT_RATIO: Final = 3.0
"""The limit shrinks when requests take more than this many times the shortest delay of their kind."""
NOISE_SECONDS: Final = 0.01
"""Differences between delays are ignored up to this many seconds, which is the length of a scheduler's time slice."""
_SLOWER: Final = 0.75
_OVERLOADED: Final = 0.5
_SMOOTHING: Final = 0.25
"""The weight of the newest request in the mean of the ratios."""
_RELEARNING: Final = 0.2
"""The weight with which the delay of a lone request changes the shortest delay: only the server can have caused it."""


@dataclass(slots=True)
class Permit:
    """The permission to send one request, which also records what the outcome shows about the server's capacity."""

    kind: str
    """Requests of one kind take the same time on an idle server. Empty for requests of varying duration."""
    is_alone: bool = False
    """Whether no other request of ours was in flight when this request was admitted."""
    on_response: Callable[[Permit, float, bool], None] | None = None
    is_streaming: bool = False
    is_overload: bool = False

    def responded(self, seconds: float, *, is_stream: bool = False) -> None:
        """Report how long the server took to begin its response. A request without this report changes no delay.

        From now on, a stream counts only for the tenant's ceiling and ``MAX_LIMIT``: reading a large file takes much
        longer, and the server responds to other requests during this time.
        """
        if self.on_response:
            self.on_response(self, seconds, is_stream)

    def overloaded(self) -> None:
        """Report that the server refused the request for lack of capacity, or did not respond."""
        self.is_overload = True


class AdaptiveLimit:
    """The limit on concurrent requests to one server. Threads and tenants share it; waiting tenants take turns."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._limit = FIRST_LIMIT
        self._in_flight = 0
        self._bounded = 0
        """The requests in flight that the limit bounds: all except streams that have begun."""
        self._in_flight_by_tenant: Counter[object] = Counter()
        self._waiting: OrderedDict[object, deque[_Waiter]] = OrderedDict()
        """Tenant to its waiting requests. The tenant whose turn is next comes first."""
        self._fastest: dict[str, float] = {}
        """Kind of request to its shortest delay, in seconds."""
        self._mean_ratio = 1.0
        self._responses_since_change = 0
        self._was_full = False
        """Whether the limit was reached since its last change: an unused limit must not grow."""
        self._last_cut = float("-inf")
        self._is_slow_start = True
        """Whether no request has waited behind our other requests so far."""

    @property
    def limit(self) -> int:
        """Requests that may wait for their response now."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """Requests that wait to be sent."""
        return sum(map(len, self._waiting.values()))

    def acquire(self, tenant: object, ceiling: int, *, kind: str, timeout: float) -> AbstractContextManager[Permit]:
        """Wait until a request may be sent; return its permit. The request is in flight until the permit's block ends.

        Args:
            tenant: the tenant that sends the request; waiting tenants take turns.
            ceiling: how many requests this tenant may have in flight.
            kind: the kind of the request: see ``Permit``.
            timeout: seconds to wait.

        Raises:
            TimeoutError: the other requests did not end in time.
        """
        waiter = self._wait(tenant, ceiling, timeout)
        return self._hold(tenant, Permit(kind, waiter.is_alone, self._responded))

    @contextmanager
    def _hold(self, tenant: object, permit: Permit) -> Iterator[Permit]:
        try:
            yield permit
        finally:
            self._release(tenant, permit)

    def _wait(self, tenant: object, ceiling: int, timeout: float) -> _Waiter:
        with self._lock:
            waiter = _Waiter(ceiling)
            self._waiting.setdefault(tenant, deque()).append(waiter)
            self._admit()
        if waiter.admitted.wait(timeout):
            return waiter
        with self._lock:
            if waiter.admitted.is_set():
                return waiter
            self._waiting[tenant].remove(waiter)
            if not self._waiting[tenant]:
                del self._waiting[tenant]
        raise TimeoutError

    def _admit(self) -> None:
        """Admit waiting requests, one tenant after the other, while the limit allows it."""
        passed = 0
        while self._waiting and passed < len(self._waiting):
            if self._bounded >= int(self._limit) or self._in_flight >= MAX_LIMIT:
                self._was_full = True
                return
            tenant, waiters = next(iter(self._waiting.items()))
            self._waiting.move_to_end(tenant)
            if self._in_flight_by_tenant[tenant] >= waiters[0].ceiling:
                passed += 1
                continue
            passed = 0
            self._in_flight += 1
            self._bounded += 1
            self._in_flight_by_tenant[tenant] += 1
            admitted = waiters.popleft()
            admitted.is_alone = self._in_flight == 1
            admitted.admitted.set()
            if not waiters:
                del self._waiting[tenant]

    def _release(self, tenant: object, permit: Permit) -> None:
        with self._lock:
            self._in_flight -= 1
            self._bounded -= not permit.is_streaming
            self._in_flight_by_tenant[tenant] -= 1
            if not self._in_flight_by_tenant[tenant]:
                del self._in_flight_by_tenant[tenant]
            if permit.is_overload:
                self._cut(_OVERLOADED)
            self._admit()

    def _responded(self, permit: Permit, seconds: float, is_stream: bool) -> None:
        with self._lock:
            if is_stream and not permit.is_streaming:
                permit.is_streaming = True
                self._bounded -= 1
            if permit.kind:
                self._learn(permit.kind, seconds, is_alone=permit.is_alone)
            self._admit()

    def _learn(self, kind: str, seconds: float, *, is_alone: bool) -> None:
        known = self._fastest.get(kind)
        if known is None:
            # A request that was not alone has waited for other requests, so its delay is divided by the mean ratio.
            self._fastest[kind] = seconds if is_alone else seconds / max(self._mean_ratio, 1.0)
            return
        # A server that has become slower has high ratios, so it soon gets only one request at a time. The delay of such
        # a request is the new baseline.
        fastest = self._fastest[kind] = known + _RELEARNING * (seconds - known) if is_alone else min(known, seconds)
        ratio = seconds / fastest if seconds - fastest > NOISE_SECONDS else 1.0
        self._mean_ratio += _SMOOTHING * (ratio - self._mean_ratio)
        self._responses_since_change += 1
        if self._responses_since_change < self._limit:
            return  # all responses so far belong to requests that were sent before the last change
        if self._mean_ratio > CUT_RATIO:
            self._cut(_SLOWER)
        elif self._mean_ratio < GROWTH_RATIO and self._was_full:
            self._is_slow_start &= self._mean_ratio < SLOW_START_RATIO and self._limit < SLOW_START_LIMIT
            grown = min(self._limit * 2, SLOW_START_LIMIT) if self._is_slow_start else self._limit + 1
            self._change_to(min(grown, MAX_LIMIT))

    def _cut(self, factor: float) -> None:
        # Requests that were in flight together fail together: they count once.
        now = self._now()
        if now - self._last_cut < max(self._fastest.values(), default=0.1):
            return
        self._last_cut = now
        self._is_slow_start = False
        self._change_to(max(self._limit * factor, 1.0))

    def _change_to(self, limit: float) -> None:
        self._limit = limit
        self._responses_since_change = 0
        self._was_full = False


class _Waiter:
    __slots__ = ("admitted", "ceiling", "is_alone")

    def __init__(self, ceiling: int) -> None:
        self.admitted = threading.Event()
        self.ceiling = ceiling
        self.is_alone = False
