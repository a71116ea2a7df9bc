"""Sends requests to one VerifyWise server within its rate limits. A write that may have succeeded is not repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from pydantic import TypeAdapter

from verifywise_mlflow.delivery.verifywise.errors import OutcomeUnknownError
from verifywise_mlflow.delivery.verifywise.rate_pacing import Budget, RatePacing
from verifywise_mlflow.delivery.verifywise.refusals import error_from_response, error_of_write
from verifywise_mlflow.delivery.verifywise.responses import parse_data
from verifywise_mlflow.delivery.verifywise.session import Session
from verifywise_mlflow.http.client import ResponseLimit
from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    HttpError,
    InvalidResponseError,
    InvalidSettingsError,
    LimitExceededError,
    RateLimitedError,
)
from verifywise_mlflow.http.request_auth import (
    ReadRequest,
    RequestAuthenticator,
    StaticHeaders,
    WriteMethod,
    WriteRequest,
)
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow.http.writing_client import WritingHttpClient
from verifywise_mlflow.tenants.connection import proxy_settings
from verifywise_mlflow.tenants.delivery.verifywise import VerifyWiseSettings

T = TypeVar("T")

_MAX_PAUSES: Final = 3
"""The maximum number of waits of one request for a rate limit. After that, the delivery stops."""
_JSON: Final = "application/json"


class Transport:
    """Connects to one server with one account. Sends one request after the other. Paths begin after ``/api``."""

    def __init__(
        self,
        settings: VerifyWiseSettings,
        limits: Limits,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare the transport; nothing is sent or resolved yet. ``VerifyWiseClient`` describes the arguments."""
        self._settings = settings
        self._limits = limits
        self._redact = redact
        self._pacing = RatePacing(clock, sleep)
        self._limit = ResponseLimit(
            limits.request_timeout_seconds, "request_timeout_seconds", limits.max_response_bytes, "max_response_bytes"
        )
        self.session = Session(self._connection(StaticHeaders()), settings.auth, clock)
        self._http = self._open(self.session)
        self._metrics_http: WritingHttpClient | None = None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        if self._metrics_http:
            self._metrics_http.close()

    @property
    def requests(self) -> int:
        """The number of requests that were sent."""
        metrics = self._metrics_http.traffic.requests if self._metrics_http else 0
        return self._http.traffic.requests + self.session.logins + metrics

    def get(self, path: str, *, route: str | None = None, precedes_change: bool = False) -> Response:
        """Send a GET request; return the response.

        Args:
            path: The path, with its query.
            route: The path without its values, for traces.
            precedes_change: Whether a change follows that depends on the response. The change must not wait. So this
                request waits until the rate limit allows this request and the change.
        """
        name = path.partition("?")[0]
        request = ReadRequest("GET", self._url(path), route=f"/api{route or name}")
        return self._paced(
            _budget(path),
            lambda: self._http.fetch(request, self._limit, target=f"GET /api{name}"),
            needed=2 if precedes_change else 1,
        )

    def read(self, path: str, form: TypeAdapter[T]) -> T:
        """Send a GET request; return the data of the response."""
        return self.parse(self.get(path), form)

    def parse(self, response: Response, form: TypeAdapter[T]) -> T:
        """Return the data of a response to a request that reads."""
        return parse_data(response, form, self._limits)

    def change(
        self,
        method: WriteMethod,
        path: str,
        content: Mapping[str, object],
        *,
        route: str | None = None,
        waits: bool = True,
    ) -> None:
        """Send content as JSON, once; ignore the body of the response.

        ``waits`` states whether the request may wait for a rate limit. A request that depends on values that were just
        read must not wait.
        """
        self._write(self._http, method, path, _encode(content), _JSON, content, route=route, waits=waits)

    def create(self, path: str, content: Mapping[str, object], form: TypeAdapter[T]) -> T:
        """Post content as JSON, once; return the data of the response."""
        response = self._write(self._http, "POST", path, _encode(content), _JSON, content)
        return self._parse_written(response, form)

    def upload(
        self, path: str, body: bytes, content_type: str, description: Mapping[str, object], form: TypeAdapter[T]
    ) -> T:
        """Post a body of another type, once; return the data of the response."""
        response = self._write(self._http, "POST", path, body, content_type, description)
        return self._parse_written(response, form)

    def post_metric(self, path: str, content: Mapping[str, object], form: TypeAdapter[T], *, route: str) -> T:
        """Post content as JSON, once, with the ingestion token; return the data of the response."""
        response = self._write(self._metrics(), "POST", path, _encode(content), _JSON, content, route=route)
        return self._parse_written(response, form)

    def _write(
        self,
        http: WritingHttpClient,
        method: WriteMethod,
        path: str,
        body: bytes,
        content_type: str,
        content: Mapping[str, object],
        *,
        route: str | None = None,
        waits: bool = True,
    ) -> Response:
        """Send a request that writes. It is repeated only if a rate limit refused it and ``waits`` is true.

        Raises:
            HttpError: the request was not executed, or it is unknown whether it was executed. ``content`` is for the
                message of a refusal.
        """
        target = f"{method} /api{path}"
        request = WriteRequest(method, self._url(path), {"Content-Type": content_type}, body, f"/api{route or path}")
        try:
            return self._paced(
                _budget(path), lambda: http.write(request, self._limit, target=target), needed=int(waits)
            )
        except HttpError as error:
            raise error_of_write(error, content) from None

    def _parse_written(self, response: Response, form: TypeAdapter[T]) -> T:
        try:
            return self.parse(response, form)
        except (InvalidResponseError, LimitExceededError) as error:
            raise OutcomeUnknownError(f"{error}. The request was executed, but not what it created is known") from None

    def _paced(self, budget: Budget, send: Callable[[], Response], *, needed: int) -> Response:
        """Send a request when the rate limit allows ``needed`` requests; 0 means immediately. Return the response."""
        pauses = 0
        while True:
            self._pacing.wait(budget, needed)
            try:
                response = send()
            except AddressNotAllowedError as error:
                raise AddressNotAllowedError(
                    error.finding,
                    "If VerifyWise is meant to be there, set delivery.verifywise.allow_private_network: true.",
                ) from None
            except RateLimitedError as error:
                pauses += 1
                if error.retry_after is None or pauses > _MAX_PAUSES or not needed:
                    raise
                self._pacing.pause(error.retry_after, str(error))
            else:
                self._pacing.learn(budget, response.headers)
                return response

    def _metrics(self) -> WritingHttpClient:
        if self._metrics_http is None:
            if self._settings.metrics_token is None:
                raise InvalidSettingsError("metrics need delivery.verifywise.metrics_token, which is not set")
            token = self._settings.metrics_token.resolve()
            self._metrics_http = self._open(StaticHeaders({"Authorization": f"Bearer {token}"}))
        return self._metrics_http

    def _open(self, credentials: RequestAuthenticator) -> WritingHttpClient:
        return WritingHttpClient(
            self._connection(credentials),
            error_from_response,
            headers={"Accept": _JSON, "Accept-Encoding": "gzip"},
            decompress=True,
            success_statuses=(200, 201, 204),
        )

    def _connection(self, credentials: RequestAuthenticator) -> ConnectionSettings:
        settings = self._settings
        return ConnectionSettings(
            base_uri=f"{settings.url}/api",
            credentials=lambda: credentials,
            allow_private_network=settings.allow_private_network,
            ca_bundle=settings.tls.ca_bundle,
            client_certificate=settings.tls.client_certificate,
            client_key=settings.tls.client_key,
            tls_strict=settings.tls.strict,
            proxy=proxy_settings(settings.proxy),
            limits=self._limits,
            redact=self._redact,
        )

    def _url(self, path: str) -> str:
        return f"{self._settings.url}/api{path}"


def _encode(content: Mapping[str, object]) -> bytes:
    # ASCII with escapes, so that a lone surrogate in a name can be sent.
    return json.dumps(content).encode("ascii")


def _budget(path: str) -> Budget:
    if path.startswith("/file-manager"):
        return Budget.FILES
    return Budget.METRICS if path.startswith("/mrm/") else Budget.OTHERS
