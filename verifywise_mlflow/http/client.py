"""The generic HTTP client: connections, adaptive concurrency, limits, retries, circuit breaker, auth, traffic counts.

The client contains no API. Its callers build URLs, set a ``ResponseLimit`` for each request, and turn a response that
is not a success into an error: ``connector/rest_client.py`` for MLflow, ``artifacts/stores/http_client.py`` for object
stores, ``oauth2.py`` for tokens. The client only reads: it takes a ``ReadRequest``. ``writing_client.py`` has the
subclass that also writes.

The client uses urllib3, which reads no environment variable, no netrc and no proxy setting. Redirects are never
followed.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from urllib3.response import BaseHTTPResponse

from verifywise_mlflow.http.adaptive_limit import AdaptiveLimit, Permit
from verifywise_mlflow.http.circuit_breaker import CircuitBreaker
from verifywise_mlflow.http.errors import (
    ConcurrencyLimitError,
    GatewayError,
    HttpError,
    InvalidSettingsError,
    LimitExceededError,
    RateLimitedError,
    ResponseTimeoutError,
    UnreachableError,
)
from verifywise_mlflow.http.exchange import iter_body, release, send, take_bytes
from verifywise_mlflow.http.pools import open_pool
from verifywise_mlflow.http.request_auth import ReadRequest, Request
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.retry import RetryPolicy
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.observability.tracing import request_span

USER_AGENT = "verifywise-mlflow"
MAX_TEXT_BYTES = 64 * 1024
"""The size limit of a short text response, such as an error."""
OVERLOAD_ERRORS = (UnreachableError, GatewayError, RateLimitedError, ResponseTimeoutError)
"""Failures that show that a server gets more requests than it can answer."""
_SECRET_HEADERS = frozenset(("authorization", "proxy-authorization", "cookie"))
"""Headers that contain credentials even if the request itself sets them, as the request for a token does."""
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(slots=True)
class Traffic:
    """The load that a connection has put on the server so far."""

    requests: int = 0
    bytes_read: int = 0
    """The bytes read, after decompression if the client decompresses."""
    circuit_openings: int = 0
    """How often the circuit breaker has opened."""


@dataclass(frozen=True, slots=True)
class ResponseLimit:
    """The time and size limits of a response. The settings' names are for error messages."""

    timeout_seconds: float
    """The maximum time of one attempt in seconds, from sending the request to the last byte."""
    timeout_setting: str | None = None
    max_bytes: int | None = None
    """None for a stream: its reader decides when to stop."""
    max_bytes_setting: str | None = None


class HttpClient:
    """The client of one server with one set of credentials, for requests that read. Threads may share an instance."""

    def __init__(
        self,
        settings: ConnectionSettings,
        error_from: Callable[[Response], HttpError],
        *,
        headers: Mapping[str, str],
        decompress: bool,
        concurrency: AdaptiveLimit | None = None,
        server: str | None = None,
        success_statuses: Container[int] = (200,),
    ) -> None:
        """Resolve the credentials; no request is sent yet.

        Args:
            settings: The server, our identity there, and the limits.
            error_from: Returns the error for a response whose status is not a success.
            headers: Sent with every request.
            decompress: Whether to undo the content encoding of responses.
            concurrency: Bounds concurrent requests, if it is given.
            server: The server's name in messages; if None, the host.
            success_statuses: The statuses of responses that are returned.

        Raises:
            HttpError: the settings cannot be used.
            SecretUnavailableError: the credentials or the proxy of the settings refer to a secret that is missing.
        """
        self._limits = settings.limits
        self._deadline = settings.deadline
        self._redact = settings.redact
        self._error_from = error_from
        self._headers = {"User-Agent": USER_AGENT, **headers}
        self._decompress = decompress
        self._success_statuses = success_statuses
        self._concurrency = concurrency
        self._server = server or urlsplit(settings.base_uri).hostname or ""
        self._credentials = settings.credentials()
        self._proxy_headers = settings.proxy.headers() if settings.proxy else {}
        self._pool = open_pool(settings)
        self._breaker = CircuitBreaker(self._limits, self._server, self._count_opening)
        self._retries = RetryPolicy(self._limits, self._breaker)
        self._lock = threading.Lock()
        self.traffic = Traffic()

    def _count_opening(self) -> None:
        self.traffic.circuit_openings += 1

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def check_credentials(self, url: str) -> None:
        """Authenticate a request without sending it, so that an unusable secret is reported at once.

        Raises:
            HttpError: the credentials cannot be used. A transient failure is not raised: the first request retries.
        """
        try:
            self._authenticate(ReadRequest("GET", url, self._headers))
        except HttpError as error:
            if not error.retryable:
                raise

    def fetch(self, request: ReadRequest, limit: ResponseLimit, *, target: str = "", kind: str = "") -> Response:
        """Send a request, with retries; return the response, read to its end.

        Args:
            request: The request. Its headers are added to the headers of the client.
            limit: The limits of the response.
            target: The name of the request in messages; empty if its URL must not be repeated.
            kind: The kind of request, for the adaptive limit, which compares delays only among requests of one kind.
                Empty if the times of such requests vary too much to be compared.

        Raises:
            HttpError: there is no response, or the response is not a success or exceeds the limit.
        """
        return self._retries.call(lambda: self._attempt(request, limit, target, kind), self._credentials.renew)

    def _attempt(self, request: Request, limit: ResponseLimit, target: str, kind: str) -> Response:
        """Send a request once; return the response, read to its end."""
        bounded = self._within_deadline(limit)
        with self._until_deadline(), self._exchange(request, bounded, target, kind) as (response, auth_headers):
            body = b"".join(self._read(response, bounded))
            return Response(target, response.status, response.headers, body, auth_headers, self._redact)

    @contextmanager
    def stream(
        self, request: ReadRequest, limit: ResponseLimit, *, max_bytes: int, target: str = "", kind: str = ""
    ) -> Iterator[Iterator[bytes]]:
        """Send a request, with retries; yield the body's first ``max_bytes`` in chunks while the context is open.

        Raises:
            HttpError: there is no response, or the response is not a success, breaks off or takes too long.
        """
        with ExitStack() as stack:

            def attempt() -> BaseHTTPResponse:
                with self._until_deadline():
                    exchange = self._exchange(request, self._within_deadline(limit), target, kind)
                    response, _ = stack.enter_context(exchange)
                return response

            response = self._retries.call(attempt, self._credentials.renew, reads_body=False)
            chunks = self._breaker.watch(self._read(response, self._within_deadline(limit)))
            yield take_bytes(self._chunks_until_deadline(chunks), max_bytes)

    def _chunks_until_deadline(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._until_deadline():
            yield from chunks

    @contextmanager
    def _until_deadline(self) -> Iterator[None]:
        """Raise ``DeadlineExceededError`` if the sync's deadline has passed when the block begins, or when it fails."""
        if self._deadline:
            self._deadline.check()
        try:
            yield
        except HttpError:
            if self._deadline:
                self._deadline.check()
            raise

    def _within_deadline(self, limit: ResponseLimit) -> ResponseLimit:
        if self._deadline is None or self._deadline.seconds_left >= limit.timeout_seconds:
            return limit
        # A little later than the deadline, so that it has passed when the timeout is reported.
        return replace(limit, timeout_seconds=max(self._deadline.seconds_left, 0.0) + 0.01)

    @contextmanager
    def _exchange(
        self, request: Request, limit: ResponseLimit, target: str, kind: str
    ) -> Iterator[tuple[BaseHTTPResponse, Mapping[str, str]]]:
        """Send a request once; yield a successful response, and the headers that authenticated the request."""
        request = replace(request, headers={**self._headers, **request.headers})
        authenticated = self._authenticate(request)
        added = {
            name: value
            for name, value in authenticated.headers.items()
            if name not in request.headers or name.lower() in _SECRET_HEADERS
        }
        auth_headers = {**added, **self._proxy_headers}
        with self._permit(limit, target, kind) as permit, request_span(request.method, request.route) as span:
            with self._lock:
                self.traffic.requests += 1
            sent_at = time.monotonic()
            response = send(
                self._pool,
                authenticated,
                connect_timeout=self._limits.connect_timeout_seconds,
                read_timeout=min(limit.timeout_seconds, self._limits.request_timeout_seconds),
                server=self._server,
                target=target,
            )
            delay = time.monotonic() - sent_at
            span.responded(response.status)
            try:
                if response.status not in self._success_statuses:
                    raise self._error_from(
                        Response(
                            target,
                            response.status,
                            response.headers,
                            self._error_body(response),
                            auth_headers,
                            self._redact,
                        )
                    )
                permit.responded(delay, is_stream=limit.max_bytes is None)
                yield response, auth_headers
            finally:
                release(response)

    @contextmanager
    def _permit(self, limit: ResponseLimit, target: str, kind: str) -> Iterator[Permit]:
        """Wait until a request may be sent; report to the limit what the outcome shows about the server's capacity."""
        if self._concurrency is None:
            yield Permit(kind)
            return
        ceiling = self._limits.max_concurrent_requests
        try:
            waiting = self._concurrency.acquire(self, ceiling, kind=kind, timeout=limit.timeout_seconds)
        except TimeoutError:
            raise ConcurrencyLimitError(
                f"no request was sent to {self._server} {target}: our other requests to it did not end in time"
            ) from None
        with waiting as permit:
            try:
                yield permit
            except OVERLOAD_ERRORS:
                permit.overloaded()
                raise

    def _authenticate(self, request: Request) -> Request:
        headers = {**request.headers, **self._credentials.headers(request)}
        for name, value in headers.items():
            # http.client would also refuse the value, but its message would quote it.
            if not _HEADER_VALUE.fullmatch(value):
                raise InvalidSettingsError(
                    f"the value of the header {name} has characters that no header can carry, such as a line break. "
                    "Correct the secret that it comes from."
                )
        return replace(request, headers=headers)

    def _read(self, response: BaseHTTPResponse, limit: ResponseLimit) -> Iterator[bytes]:
        """Yield the body in chunks, within the limit."""
        total = 0
        for chunk in iter_body(
            response,
            timeout=limit.timeout_seconds,
            server=self._server,
            decompress=self._decompress,
            timeout_setting=limit.timeout_setting,
        ):
            total += len(chunk)
            with self._lock:
                self.traffic.bytes_read += len(chunk)
            if limit.max_bytes is not None and total > limit.max_bytes:
                setting = f" ({limit.max_bytes_setting})" if limit.max_bytes_setting else ""
                raise LimitExceededError(
                    f"{self._server} sent more than the {limit.max_bytes:,} bytes allowed here{setting}"
                )
            yield chunk

    def _error_body(self, response: BaseHTTPResponse) -> bytes:
        limit = ResponseLimit(self._limits.request_timeout_seconds, max_bytes=MAX_TEXT_BYTES)
        try:
            return b"".join(self._read(response, limit))
        except HttpError:
            return b""  # the status suffices for the error
