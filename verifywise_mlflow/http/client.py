"""Sends read calls and hands back what came, within bounds.

Not MLflow's own client, because that one shares credentials process-wide, follows redirects with
custom headers, retries for four minutes, takes an empty answer for an empty registry and has no
bound on an answer's size. urllib3 reads no environment variable, no netrc and no proxy setting.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

from urllib3.response import BaseHTTPResponse

from verifywise_mlflow.connector.endpoints import Call, is_read_call
from verifywise_mlflow.connector.responses import Answer, error_of, json_object
from verifywise_mlflow.http.auth import Outgoing
from verifywise_mlflow.http.errors import (
    BoundExceededError,
    ConnectorError,
    NotAReadCallError,
    ServerBusyError,
    UnusableSettingsError,
)
from verifywise_mlflow.http.exchange import TEXT_BYTES, body_of, first, give_back, send
from verifywise_mlflow.http.pools import open_pool, server_slots
from verifywise_mlflow.http.retry import Patience
from verifywise_mlflow.http.settings import ConnectionSettings

T = TypeVar("T")

_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

Params = Mapping[str, str | int] | tuple[tuple[str, str | int], ...]


@dataclass(slots=True)
class Traffic:
    """What a connection has cost the server so far."""

    requests: int = 0
    bytes_read: int = 0
    """After decompression."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """How long and how large an answer may be; the names are those of the settings."""

    seconds: float
    seconds_setting: str
    max_bytes: int | None = None
    bytes_setting: str = "answer_bytes"


class Transport:
    """One server, one set of credentials. Threads may share it."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._bounds = settings.bounds
        parts = urlsplit(settings.base_uri)
        self._host = parts.hostname or ""
        self._answers = _Limit(settings.bounds.request_seconds, "request_seconds", settings.bounds.answer_bytes)
        self._probes = _Limit(settings.bounds.probe_seconds, "probe_seconds", TEXT_BYTES, "a probe's answer")
        self._files = _Limit(settings.bounds.file_seconds, "file_seconds")
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._headers = {
            "User-Agent": "verifywise-mlflow",
            "Accept-Encoding": "gzip",
            **({"X-MLFLOW-WORKSPACE": settings.workspace} if settings.workspace else {}),
        }
        self._credentials = settings.credentials()
        try:
            self._signed(Outgoing("GET", self._base, self._headers, None))  # so that a bad secret shows at once
        except ConnectorError as error:
            if not error.retryable:  # a token's issuer that hiccups is asked again with the first request
                raise
        self._let_through_by = settings.proxy.headers() if settings.proxy else {}
        self._pool = open_pool(settings)
        self._slots = server_slots(settings)
        self._patience = Patience(settings.bounds, self._host)
        self._is_ajax = False
        self._lock = threading.Lock()
        self.traffic = Traffic()

    def take_the_pages_way(self) -> None:
        """From now on, ask as MLflow's own pages do: before 3.17, only their calls lie below ``--static-prefix``."""
        self._is_ajax = True

    def _path(self, call: Call, identifier: str | None = None) -> str:
        return call.ajax_path(identifier) if self._is_ajax else call.path(identifier)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get_json(self, call: Call, params: Params = (), *, identifier: str | None = None) -> dict[str, object]:
        """Send a GET call; return the JSON object that the server answered with."""
        return self._json(call, params, identifier, None, self._answers)

    def post_json(self, call: Call, question: Mapping[str, object]) -> dict[str, object]:
        """Send a search that MLflow takes as POST; return the JSON object that the server answered with."""
        return self._json(call, (), None, question, self._answers)

    def probe(self, call: Call, params: Params = ()) -> dict[str, object]:
        """Send a GET call that any living server answers at once; return the JSON object."""
        return self._json(call, params, None, None, self._probes)

    def probe_text(self, call: Call) -> str:
        """Send a GET call that any living server answers at once; return its short plain text."""

        def once() -> str:
            with self._exchange(call.method, self._path(call), (), None, self._probes) as (response, _):
                return self._body(response, self._probes).decode("utf-8", "replace")

        return self._patience.persist(once, self._credentials.renew)

    @contextmanager
    def stream(
        self, call: Call, params: Params, *, max_bytes: int, identifier: str | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Send a GET call; give the answer's first ``max_bytes`` bytes in chunks while the context is open."""
        path = self._path(call, identifier)
        with ExitStack() as opened:
            response, _ = self._patience.persist(
                lambda: opened.enter_context(self._exchange(call.method, path, params, None, self._files)),
                self._credentials.renew,
                is_whole=False,
            )
            yield first(self._patience.to_the_end(self._read(response, self._files)), max_bytes)

    def _json(
        self,
        call: Call,
        params: Params,
        identifier: str | None,
        question: Mapping[str, object] | None,
        limit: _Limit,
    ) -> dict[str, object]:
        path = self._path(call, identifier)

        def once() -> dict[str, object]:
            with self._exchange(call.method, path, params, question, limit) as (response, let_in_by):
                answer = Answer(path, response.status, response.headers, self._body(response, limit), let_in_by)
            return json_object(answer, self._bounds.depth)

        return self._patience.persist(once, self._credentials.renew)

    @contextmanager
    def _exchange(
        self, method: str, path: str, params: Params, question: Mapping[str, object] | None, limit: _Limit
    ) -> Iterator[tuple[BaseHTTPResponse, Mapping[str, str]]]:
        """Send one request; give the response while the context is open, if it is a successful one.

        Beside it come the request's headers that let us in: words of the server's that repeat them are not passed on.
        """
        if not is_read_call(method, path):
            raise NotAReadCallError(f"{method} {path} is not a read call: it was not sent")
        url = f"{self._base}/{quote(path)}" + (f"?{_query(params)}" if params else "")
        headers, body = self._headers, None
        if question is not None:
            # ASCII with escapes: a lone surrogate in a name must not stop the question.
            body = json.dumps(question).encode("ascii")
            headers = headers | {"Content-Type": "application/json"}
        signed = self._signed(Outgoing(method, url, headers, body))
        let_in_by = {name: value for name, value in signed.items() if name not in headers} | dict(self._let_through_by)
        if not self._slots.acquire(timeout=limit.seconds):
            raise ServerBusyError(f"{self._host} was not asked {path}: other requests to it did not end in time")
        try:
            with self._lock:
                self.traffic.requests += 1
            response = send(
                self._pool,
                Outgoing(method, url, signed, body),
                connect_seconds=self._bounds.connect_seconds,
                read_seconds=min(limit.seconds, self._bounds.request_seconds),
                host=self._host,
                asked=path,
            )
            try:
                if response.status != 200:
                    raise self._error_of(response, path, let_in_by)
                yield response, let_in_by
            finally:
                give_back(response)
        finally:
            self._slots.release()

    def _signed(self, request: Outgoing) -> dict[str, str]:
        headers = {**request.headers, **self._credentials.headers(request)}
        for name, value in headers.items():
            # http.client would refuse it, too, but with the value in its message.
            if not _HEADER_VALUE.fullmatch(value):
                raise UnusableSettingsError(
                    f"the value for the header {name} has characters that no header can carry, such as a line end "
                    "within it. Mend the secret that it comes from."
                )
        return headers

    def _body(self, response: BaseHTTPResponse, limit: _Limit) -> bytes:
        return b"".join(self._read(response, limit))

    def _read(self, response: BaseHTTPResponse, limit: _Limit) -> Iterator[bytes]:
        """Yield the body in chunks; end at the limit."""
        count = 0
        for chunk in body_of(
            response, seconds=limit.seconds, host=self._host, is_unpacked=True, setting=limit.seconds_setting
        ):
            count += len(chunk)
            with self._lock:
                self.traffic.bytes_read += len(chunk)
            if limit.max_bytes is not None and count > limit.max_bytes:
                raise BoundExceededError(
                    f"{self._host} sent more than the {limit.max_bytes:,} bytes allowed here ({limit.bytes_setting})"
                )
            yield chunk

    def _error_of(self, response: BaseHTTPResponse, path: str, let_in_by: Mapping[str, str]) -> ConnectorError:
        limit = _Limit(self._bounds.request_seconds, "request_seconds", TEXT_BYTES, "an error's text")
        try:
            body = self._body(response, limit)
        except ConnectorError:
            body = b""  # the status says enough
        return error_of(Answer(path, response.status, response.headers, body, let_in_by), self._host)


def _query(params: Params) -> str:
    # A lone surrogate in a name or a page's token, which are the server's, must not stop the question. A blank is
    # %20, since a signature by AWS's rules takes + for itself.
    return urlencode(params, errors="surrogatepass", quote_via=quote)
