"""Answers requests: rate limits, login, routing and rights around the handlers. It handles no connections."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote

from verifywise_mlflow.demo.servers.verifywise_server import auth, metrics
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.messages import (
    Call,
    ReceivedRequest,
    RefusedError,
    Response,
    envelope,
)
from verifywise_mlflow.demo.servers.verifywise_server.rate_limits import RateLimit, RateLimiter
from verifywise_mlflow.demo.servers.verifywise_server.routes import find_route
from verifywise_mlflow.demo.servers.verifywise_server.state import State


class VerifyWiseService:
    """The service of one VerifyWise. Used by one thread at a time."""

    def __init__(
        self, state: State, dialect: Dialect, all_requests: RateLimit | None, clock: Callable[[], float]
    ) -> None:
        """Serve the stored state. ``clock`` returns seconds since 1970."""
        self._state = state
        self._dialect = dialect
        self._clock = clock
        self._secret = state.secret(secrets.token_bytes(32))
        self._limiter = RateLimiter(all_requests, clock)

    def answer(self, request: ReceivedRequest) -> Response:
        """Return the response to a request, and store its changes unless it is refused."""
        refusal, headers = self._limiter.admit(request)
        if refusal is not None:
            return refusal.with_headers(headers)
        try:
            with self._state.transaction():
                answer = self._execute(request)
        except RefusedError as error:
            answer = error.answer
        return answer.with_headers(headers)

    def _execute(self, request: ReceivedRequest) -> Response:
        now = datetime.fromtimestamp(self._clock(), UTC)
        if request.path == "/version" and self._dialect.version:
            return envelope(200, {"version": self._dialect.version})
        if (request.method, request.path) == ("POST", "/users/login"):
            return auth.log_in(request, self._state, self._secret, now)
        found = find_route(request.method, request.path, self._dialect)
        if found is None:
            return Response(404, f"<pre>Cannot {request.method} /api{request.path}</pre>")
        route, parameters = found
        if route.takes_ingestion_token:
            caller = metrics.identify(request, self._state)
        else:
            caller = auth.identify(request, self._state, self._secret, self._dialect, now)
        decoded = tuple(map(unquote, parameters))
        return route.handle(Call(request, decoded, caller, self._state, self._dialect, now, self._secret))
