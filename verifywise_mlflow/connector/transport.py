"""Sends read calls and hands back what came, within bounds.

Not MLflow's own client, because that one shares credentials process-wide, follows redirects with
custom headers, retries for four minutes, takes an empty answer for an empty registry and has no
bound on an answer's size. urllib3 reads no environment variable, no netrc and no proxy setting.
"""

from __future__ import annotations

import json
import random
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import urllib3
from urllib3 import HTTPConnectionPool
from urllib3.response import BaseHTTPResponse

from verifywise_mlflow.connector.addresses import PublicHTTPConnectionPool, PublicHTTPSConnectionPool
from verifywise_mlflow.connector.deadlines import TimedHTTPConnectionPool, TimedHTTPSConnectionPool, TimedResponse
from verifywise_mlflow.connector.errors import (
    ArtifactStoreError,
    BoundExceededError,
    ConnectorError,
    ForbiddenError,
    NoSuchRouteError,
    NotAReadCallError,
    NotFoundError,
    ProtocolError,
    RejectedError,
    ServerFaultError,
    ThrottledError,
    UnauthenticatedError,
    UnreachableError,
    UnusableSettingsError,
)
from verifywise_mlflow.connector.read_calls import ARTIFACT_PATH, ReadCall, is_read_call
from verifywise_mlflow.connector.settings import ConnectionSettings

_CHUNK_BYTES = 256 * 1024
_ERROR_BYTES = 64 * 1024
_CONNECTIONS = 2  # more than two requests at once only add latency on a small MLflow server: measured

_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

Params = Mapping[str, str | int] | tuple[tuple[str, str | int], ...]


@dataclass(slots=True)
class Traffic:
    """What a connection has cost the server so far."""

    requests: int = 0
    bytes_read: int = 0
    """After decompression."""


class Transport:
    """One server, one set of credentials. Threads may share it."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._bounds = settings.bounds
        parts = urlsplit(settings.base_uri)
        self._host = parts.hostname or ""
        self._prefix = parts.path.rstrip("/")
        self._headers = {
            "User-Agent": "verifywise-mlflow",
            "Accept-Encoding": "gzip",
            **({"X-MLFLOW-WORKSPACE": settings.workspace} if settings.workspace else {}),
            **settings.headers(),
        }
        for name, value in self._headers.items():
            # http.client would refuse it, too, but with the value in its message.
            if not _HEADER_VALUE.fullmatch(value):
                raise UnusableSettingsError(
                    f"the value for the header {name} has characters that no header can carry, such as a line end "
                    "within it. Mend the secret that it comes from."
                )
        self._pool = _pool(settings)
        self._lock = threading.Lock()
        self.traffic = Traffic()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def get_json(self, call: ReadCall, params: Params = (), *, identifier: str | None = None) -> dict[str, object]:
        """Send a GET call; return the JSON object that the server answered with."""
        return self._json(call, params, identifier, None)

    def post_json(self, call: ReadCall, question: Mapping[str, object]) -> dict[str, object]:
        """Send a search that MLflow takes as POST; return the JSON object that the server answered with."""
        return self._json(call, (), None, question)

    def get_text(self, call: ReadCall) -> str:
        """Send a GET call; return a short plain text."""
        with self._send(call.method, call.path(), (), None) as response:
            return b"".join(self._read(response, _ERROR_BYTES, "a short text")).decode("utf-8", "replace")

    @contextmanager
    def stream(
        self, call: ReadCall, params: Params, *, max_bytes: int, identifier: str | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Send a GET call; give the answer's first ``max_bytes`` bytes in chunks while the context is open."""
        with self._send(call.method, call.path(identifier), params, None) as response:
            yield _first(self._read(response, None, "file_seconds"), max_bytes)

    def _json(
        self, call: ReadCall, params: Params, identifier: str | None, question: Mapping[str, object] | None
    ) -> dict[str, object]:
        path = call.path(identifier)
        with self._send(call.method, path, params, question) as response:
            body = b"".join(self._read(response, self._bounds.answer_bytes, "answer_bytes"))
            content_type = response.headers.get("Content-Type", "")
        # A login page with status 200 is HTML; an empty body would read as an empty registry. Neither is an answer.
        if "json" not in content_type.lower():
            raise ProtocolError(f"{path} answered with {content_type or 'no content type'}, not JSON: {_excerpt(body)}")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise ProtocolError(f"{path} answered with what is no JSON: {_excerpt(body)}") from None
        if not isinstance(answer, dict):
            raise ProtocolError(f"{path} answered with JSON that is no object: {_excerpt(body)}")
        return answer

    @contextmanager
    def _send(
        self, method: str, path: str, params: Params, question: Mapping[str, object] | None
    ) -> Iterator[BaseHTTPResponse]:
        """Send one request, again where that can help; give the successful response."""
        if not is_read_call(method, path):
            raise NotAReadCallError(f"{method} {path} is not a read call: it was not sent")
        target = f"{self._prefix}/{quote(path)}" + (f"?{_query(params)}" if params else "")
        headers = dict(self._headers)
        body = None
        if question is not None:
            # ASCII with escapes: a lone surrogate in a name must not stop the question.
            body = json.dumps(question).encode("ascii")
            headers["Content-Type"] = "application/json"

        waited = 0.0
        for attempt in range(1, self._bounds.attempts + 1):
            error: ConnectorError
            pause: float | None = None
            try:
                response = self._open(method, path, target, headers, body)
            except UnreachableError as unreachable:
                error = unreachable
            else:
                try:
                    if response.status == 200:
                        yield response
                        return
                    error, pause = self._error_of(response, path), _retry_after(response)
                finally:
                    response.close()
                    # Closing alone does not give an answer's place in the pool back unless it was read to its end.
                    response.release_conn()
            delay = pause if pause is not None else random.uniform(0, 0.5 * 2**attempt)  # noqa: S311  # jitter
            waited += delay
            if not error.passing or attempt == self._bounds.attempts or waited > self._bounds.retry_budget_seconds:
                raise error
            time.sleep(delay)

    def _open(
        self, method: str, path: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> BaseHTTPResponse:
        with self._lock:
            self.traffic.requests += 1
        try:
            return self._pool.urlopen(
                method,
                target,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=self._bounds.connect_seconds, read=self._bounds.request_seconds),
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self._host} did not answer {path}: {_reason(error)}") from None
        except OSError as error:
            raise UnreachableError(f"{self._host} could not be reached: {error.strerror or error}") from None

    def _read(self, response: BaseHTTPResponse, max_bytes: int | None, bound: str) -> Iterator[bytes]:
        """Yield the body in chunks; end at the bounds. ``bound`` names what sets them."""
        is_file = bound == "file_seconds"
        seconds = self._bounds.file_seconds if is_file else self._bounds.request_seconds
        deadline = _allow(response, seconds)
        too_long = BoundExceededError(
            f"{self._host} took longer for an answer than the {seconds:g} seconds allowed here "
            f"({'file_seconds' if is_file else 'request_seconds'})"
        )
        count = 0
        try:
            for chunk in response.stream(_CHUNK_BYTES, decode_content=True):
                count += len(chunk)
                with self._lock:
                    self.traffic.bytes_read += len(chunk)
                if max_bytes is not None and count > max_bytes:
                    raise BoundExceededError(
                        f"{self._host} sent more than the {max_bytes:,} bytes allowed here ({bound})"
                    )
                if time.monotonic() > deadline:
                    raise too_long
                yield chunk
        except urllib3.exceptions.HTTPError as error:
            if time.monotonic() >= deadline:
                raise too_long from None
            raise UnreachableError(f"{self._host} broke off its answer: {_reason(error)}") from None

    def _error_of(self, response: BaseHTTPResponse, path: str) -> ConnectorError:
        """Return the error that a response other than 200 stands for."""
        try:
            body = b"".join(self._read(response, _ERROR_BYTES, "an error's text"))
        except ConnectorError:
            body = b""
        said = f"{path} answered {response.status}: {_message(response, body)}"
        match response.status:
            case 401:
                return UnauthenticatedError(f"{said}. Check the tenant's auth: the server does not accept it.")
            case 403 if b"Host header" in body:
                return ForbiddenError(f"{said}. The server must be started with --allowed-hosts naming {self._host}.")
            case 403:
                return ForbiddenError(f"{said}. Grant the account READ, or the object does not exist.")
            case 404 if _error_code(response, body):
                return NotFoundError(said)
            case 404:
                return NoSuchRouteError(f"{said}. Check the tracking URI, above all its prefix.")
            case 429:
                return ThrottledError(said)
            case 503 if "Retry-After" in response.headers:
                return ThrottledError(said)
            case 500 if ARTIFACT_PATH.fullmatch(path):
                return ArtifactStoreError(f"{said}. The server could not read its artifact store.")
            case status if status >= 500:
                return ServerFaultError(said)
            case status if 300 <= status < 400:
                return ProtocolError(
                    f"{path} answered with a redirect, which is not followed, since it would take the credentials "
                    "along. Write the final address as the tracking URI."
                )
            case _:
                return RejectedError(said)


def _pool(settings: ConnectionSettings) -> HTTPConnectionPool:
    parts = urlsplit(settings.base_uri)
    if parts.scheme == "http":
        plain = TimedHTTPConnectionPool if settings.allow_private_network else PublicHTTPConnectionPool
        return plain(parts.hostname or "", parts.port or 80, maxsize=_CONNECTIONS, block=True)
    secure = TimedHTTPSConnectionPool if settings.allow_private_network else PublicHTTPSConnectionPool
    return secure(parts.hostname or "", parts.port or 443, maxsize=_CONNECTIONS, block=True, ssl_context=_tls(settings))


def _tls(settings: ConnectionSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_bundle) if settings.ca_bundle else None)
    except OSError as error:
        raise UnusableSettingsError(f"tls.ca_bundle {settings.ca_bundle} cannot be used: {error.strerror}") from None
    if settings.client_certificate:
        try:
            # With a password, even an empty one, OpenSSL does not stop to ask the terminal for it.
            context.load_cert_chain(settings.client_certificate, settings.client_key, password="")
        except OSError as error:
            raise UnusableSettingsError(
                f"tls.client_certificate {settings.client_certificate} cannot be used with its key: {error.strerror}"
            ) from None
    return context


def _allow(response: BaseHTTPResponse, seconds: float) -> float:
    """Give an answer this long, from its first byte; return the deadline on the monotonic clock."""
    timed = getattr(response, "_original_response", None)
    assert isinstance(timed, TimedResponse)
    return timed.allow(seconds)


def _query(params: Params) -> str:
    # A lone surrogate in a name or a page's token, which are the server's, must not stop the question.
    return urlencode(params, errors="surrogatepass")


def _first(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    left = max_bytes
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


def _retry_after(response: BaseHTTPResponse) -> float | None:
    """Return the seconds that ``Retry-After`` asks for; its other form, a date, is left to the jitter."""
    written = response.headers.get("Retry-After", "")
    return float(written) if written.isdecimal() else None


def _error_code(response: BaseHTTPResponse, body: bytes) -> str | None:
    return _error_fields(response, body)[0]


def _message(response: BaseHTTPResponse, body: bytes) -> str:
    code, message = _error_fields(response, body)
    return f"{code}, {_excerpt(message.encode('utf-8', 'replace'))}" if code else _excerpt(body)


def _error_fields(response: BaseHTTPResponse, body: bytes) -> tuple[str | None, str]:
    """Return MLflow's error code and message, where the answer has that form."""
    if "json" not in response.headers.get("Content-Type", "").lower():
        return None, ""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None, ""
    if not isinstance(fields, dict) or not isinstance(fields.get("error_code"), str):
        return None, ""
    return fields["error_code"][:100], str(fields.get("message", ""))


def _excerpt(body: bytes) -> str:
    """Return the first words of a body, escaped: it is the server's text, not ours."""
    text = body[:400].decode("utf-8", "replace")
    return ascii(" ".join(text.split())[:160]) if text.strip() else "an empty body"


def _reason(error: BaseException) -> str:
    """Return urllib3's reason without the object's address in memory that it puts before it."""
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        return str(error).partition(": ")[2] or "no connection"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return " ".join(str(error).split())[:200]
