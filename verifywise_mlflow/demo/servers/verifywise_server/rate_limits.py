"""Rate limits per client address: fixed windows, counted in memory, so that a restart clears them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from verifywise_mlflow.demo.servers.verifywise_server.messages import ReceivedRequest, Response, rate_limited


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many requests an address may send in a window."""

    requests: int
    window_seconds: float
    message: str
    is_standard: bool = True
    """Whether each response states the limit in ``RateLimit-*`` headers."""


LOGINS = RateLimit(5, 60, "Too many login attempts from this IP, please try again after a minute", is_standard=False)
FILE_REQUESTS = RateLimit(100, 900, "Too many file operation requests from this IP, please try again after 15 minutes")
ALL_REQUESTS = RateLimit(300, 60, "Too many requests from this IP, please slow down and retry")
FEW_REQUESTS = RateLimit(100, 900, "Too many requests from this IP, please try again after 15 minutes")
"""The limit of all routes in some builds of dialect B, instead of ``ALL_REQUESTS``."""
METRICS = RateLimit(5_000, 900, "Too many metric ingestion requests for this token, please slow down and retry")


class RateLimiter:
    """Counts requests by limit and address."""

    def __init__(self, all_requests: RateLimit | None, clock: Callable[[], float]) -> None:
        """Start with no request counted.

        Args:
            all_requests: The limit of all routes, if the release has such a limit.
            clock: Returns seconds.
        """
        self._all_requests = all_requests
        self._clock = clock
        self._windows: dict[tuple[RateLimit, str], _Window] = {}

    def admit(self, request: ReceivedRequest) -> tuple[Response | None, Mapping[str, str]]:
        """Count a request; return a 429 if it exceeds a limit, and the headers for its response.

        The limit of a route applies after the limit of all routes. Its headers replace the headers of the limit of all
        routes.
        """
        headers: dict[str, str] = {}
        for limit in self._limits(request):
            key = request.headers.get("authorization", "") if limit is METRICS else request.address
            window = self._window(limit, key)
            window.requests += 1
            seconds = max(1, math.ceil(window.ends_at - self._clock()))
            if limit.is_standard:
                headers = {
                    "RateLimit-Policy": f"{limit.requests};w={limit.window_seconds:.0f}",
                    "RateLimit-Limit": str(limit.requests),
                    "RateLimit-Remaining": str(max(0, limit.requests - window.requests)),
                    "RateLimit-Reset": str(seconds),
                }
            if window.requests > limit.requests:
                answer = rate_limited(limit.message) if limit.is_standard else Response(429, limit.message)
                return answer, {**headers, "Retry-After": str(seconds)}
        return None, headers

    def _limits(self, request: ReceivedRequest) -> list[RateLimit]:
        limits = [self._all_requests] if self._all_requests else []
        if request.path == "/users/login":
            limits.append(LOGINS)
        if request.path == "/file-manager" or request.path.startswith("/file-manager/"):
            limits.append(FILE_REQUESTS)
        if request.path.startswith("/mrm/models/") and request.path.endswith("/metrics"):
            limits.append(METRICS)
        return limits

    def _window(self, limit: RateLimit, key: str) -> _Window:
        now = self._clock()
        window = self._windows.get((limit, key))
        if window is None or window.ends_at <= now:
            window = self._windows[limit, key] = _Window(now + limit.window_seconds)
        return window


@dataclass(slots=True)
class _Window:
    ends_at: float
    requests: int = 0
