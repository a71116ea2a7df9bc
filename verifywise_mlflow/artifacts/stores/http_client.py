"""Sends GET requests to one store and hands back what came, within bounds.

The sockets are the connector's (``http/pools.py``): addresses are checked as they are connected to, no
redirect is followed, every read has a deadline, the tenant's proxy is used, and nothing of the machine's
environment has a say. A URL may hold a signature, so no message repeats one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

from urllib3.response import BaseHTTPResponse

from verifywise_mlflow.connector.responses import retry_after
from verifywise_mlflow.http.auth import Outgoing
from verifywise_mlflow.http.errors import (
    BoundExceededError,
    ConnectorError,
    ForbiddenError,
    GatewayError,
    NotFoundError,
    ProtocolError,
    RefusedAddressError,
    RejectedError,
    ServerFaultError,
    ThrottledError,
    UnauthenticatedError,
)
from verifywise_mlflow.http.exchange import TEXT_BYTES, body_of, first, give_back, send
from verifywise_mlflow.http.pools import open_pool
from verifywise_mlflow.http.retry import Patience
from verifywise_mlflow.http.settings import ConnectionSettings

T = TypeVar("T")

PAGE_BYTES = 64 * 1024**2
"""One page of a listing. Azure's have 5,000 names of up to 1,024 characters, each of which may be escaped."""
# What S3 and Azure write as XML and Google as JSON. Their other words may repeat what was asked, signature and all.
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,60})</Code>|\"reason\": ?\"([A-Za-z]{1,60})\"")


class StoreConnection:
    """One store, one set of credentials. Not for use from several threads at once."""

    def __init__(self, settings: ConnectionSettings, headers: Mapping[str, str]) -> None:
        """Resolve the credentials; nothing is asked yet.

        Args:
            settings: Whom to ask, as whom, and the bounds.
            headers: What the store wants to hear with each request.

        Raises:
            ConnectorError: The settings cannot be used.
        """
        self._bounds = settings.bounds
        self._host = urlsplit(settings.base_uri).hostname or ""
        self._headers = {"User-Agent": "verifywise-mlflow", **headers}
        self._credentials = settings.credentials()
        self._pool = open_pool(settings)
        self._patience = Patience(settings.bounds, self._host)
        self.requests = 0
        """Sent so far."""
        self.bytes_read = 0

    def close(self) -> None:
        """Close the sockets."""
        self._pool.clear()

    def fetch(self, url: str, *, max_bytes: int = PAGE_BYTES) -> bytes:
        """Return an answer's body.

        Raises:
            ConnectorError: It could not be had.
        """

        def once() -> bytes:
            with self._exchange(url, self._bounds.request_seconds) as response:
                return self._body(response, max_bytes, self._bounds.request_seconds)

        return self._patience.persist(once, self._credentials.renew)

    @contextmanager
    def stream(self, url: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Give an answer's first ``max_bytes`` bytes in chunks, as they are stored, while the context is open.

        Raises:
            ConnectorError: It could not be had, or breaks off.
        """
        with ExitStack() as opened:
            response = self._patience.persist(
                lambda: opened.enter_context(self._exchange(url, self._bounds.file_seconds)),
                self._credentials.renew,
                is_whole=False,
            )
            yield first(self._patience.to_the_end(self._read(response, self._bounds.file_seconds)), max_bytes)

    @contextmanager
    def _exchange(self, url: str, seconds: float) -> Iterator[BaseHTTPResponse]:
        headers = {**self._headers, **self._credentials.headers(Outgoing("GET", url, self._headers, None))}
        response = self._send(Outgoing("GET", url, headers, None), seconds)
        try:
            if response.status != 200:
                raise self._error_of(response)
            yield response
        finally:
            give_back(response)

    def _send(self, request: Outgoing, seconds: float) -> BaseHTTPResponse:
        self.requests += 1
        try:
            return send(
                self._pool,
                request,
                connect_seconds=self._bounds.connect_seconds,
                read_seconds=min(seconds, self._bounds.request_seconds),
                host=self._host,
            )
        except RefusedAddressError as error:
            # The connector's own words name the tenant's setting; a store has one of its own.
            said = str(error).partition(". ")[0]
            raise RefusedAddressError(
                f"{said}. If the store is meant to be there, set allow_private_network: true for the store"
            ) from None

    def _body(self, response: BaseHTTPResponse, max_bytes: int, seconds: float) -> bytes:
        body = bytearray()
        for chunk in self._read(response, seconds):
            body += chunk
            if len(body) > max_bytes:
                raise BoundExceededError(f"{self._host} sent more than the {max_bytes:,} bytes allowed here")
        return bytes(body)

    def _read(self, response: BaseHTTPResponse, seconds: float) -> Iterator[bytes]:
        # As the bytes are stored: a file that was stored compressed is hashed compressed.
        for chunk in body_of(response, seconds=seconds, host=self._host, is_unpacked=False):
            self.bytes_read += len(chunk)
            yield chunk

    def _error_of(self, response: BaseHTTPResponse) -> ConnectorError:
        try:
            body = self._body(response, TEXT_BYTES, self._bounds.request_seconds)
        except ConnectorError:
            body = b""  # the status says enough
        found = _CODE.search(body)
        code = (found[1] or found[2]).decode("ascii") if found else None
        error = _error(response.status, f"{self._host} answered {response.status}" + (f", {code}" if code else ""))
        error.code = code
        error.retry_after = retry_after(response.headers)
        return error


def _error(status: int, said: str) -> ConnectorError:
    match status:
        case 401:
            return UnauthenticatedError(f"{said}: the store does not accept the credentials")
        case 403:
            return ForbiddenError(f"{said}: the credentials may not read this, or are not the store's")
        case 404:
            return NotFoundError(f"{said}: there is no such object, or no such bucket")
        case 429:
            return ThrottledError(said)
        case 502 | 503 | 504:
            return GatewayError(said)
        case _ if status >= 500:
            return ServerFaultError(said)
        case _ if 300 <= status < 400:
            return ProtocolError(
                f"{said}: a redirect, which is not followed, since it would take the credentials along. Check the "
                "store's endpoint and region"
            )
        case _:
            return RejectedError(said)
