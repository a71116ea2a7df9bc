"""The contract server, which behaves like VerifyWise. Tests can cause faults in it, read its log and restart it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

from verifywise_mlflow.demo.servers.verifywise_server.auth import add_user
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.faults import Fault, Faults
from verifywise_mlflow.demo.servers.verifywise_server.messages import ReceivedRequest, Response
from verifywise_mlflow.demo.servers.verifywise_server.rate_limits import ALL_REQUESTS, RateLimit
from verifywise_mlflow.demo.servers.verifywise_server.service import VerifyWiseService
from verifywise_mlflow.demo.servers.verifywise_server.state import Document, Kind, State


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request and the status of its response, which the client may not have received."""

    method: str
    path: str
    """The path without ``/api`` and the query."""
    status: int | None
    """The status of the response; None if the request was lost."""
    body: bytes
    at: float
    """The time by the server's clock."""


class VerifyWiseServer:
    """A server that behaves like VerifyWise. It runs within a ``with`` block and executes one request at a time."""

    def __init__(
        self,
        dialect: Dialect = Dialect.B,
        *,
        all_requests: RateLimit | None = None,
        file: Path | None = None,
        preferred_port: int | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe the server.

        Args:
            dialect: The releases that the server behaves like.
            all_requests: The limit of all routes, if it differs from the dialect's limit.
            file: The file for the server's state; without it, the state is in memory.
            preferred_port: The port to use if it is free.
            clock: Returns seconds since 1970: rate limits, tokens and timestamps follow it.
            sleep: Waits before a slow answer.
        """
        self.dialect = dialect
        self.faults = Faults()
        self.requests: list[LoggedRequest] = []
        self._clock = clock
        self._all_requests = all_requests or (ALL_REQUESTS if dialect is Dialect.B else None)
        self._sleep = sleep
        self._port = preferred_port or 0
        self._lock = threading.Lock()
        self._state = State(file)
        self._service = self._new_service()
        self._http: _HttpServer | None = None
        self._thread: threading.Thread | None = None

    def _new_service(self) -> VerifyWiseService:
        return VerifyWiseService(self._state, self.dialect, self._all_requests, self._clock)

    @property
    def port(self) -> int:
        """The port, once the server has been started."""
        return self._port

    @property
    def uri(self) -> str:
        """The address that a user of VerifyWise would give, without ``/api``."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> VerifyWiseServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with self._lock:
            self._state.close()

    def start(self) -> None:
        """Accept connections, on the former port if there was one."""
        try:
            self._http = _HttpServer(self._port, self._answer)
        except OSError:  # another program has the preferred port
            self._http = _HttpServer(0, self._answer)
        self._port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close all connections. The stored state stays."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http.close_connections()
            self._thread.join()
            self._http = None

    def restart(self) -> None:
        """Stop and start on the same port. The stored state stays; rate limits begin again."""
        self.stop()
        self._service = self._new_service()
        self.start()

    def add_user(self, email: str, password: str, *, role: str = "Editor", organization: int = 1) -> None:
        """Add a user who can log in."""
        with self._lock, self._state.transaction():
            add_user(self._state, email=email, password=password, role=role, organization=organization)

    def add(self, kind: Kind, contents: Iterable[Mapping[str, object]], organization: int = 1) -> None:
        """Store objects without requests, as if they had existed before."""
        with self._lock, self._state.transaction():
            for content in contents:
                self._state.add(kind, organization, content)

    def stored(self, kind: Kind, organization: int = 1) -> list[Document]:
        """Return what an organization has stored, oldest first."""
        with self._lock:
            return self._state.all(kind, organization)

    def mails(self) -> Mapping[str, int]:
        """Return how many mails were sent, by event: ``model_added``, ``model_updated``…"""
        with self._lock:
            return self._state.mails()

    def clear(self) -> None:
        """Delete everything but users, and forget faults, requests and rates: for tests that share a server."""
        with self._lock:
            with self._state.transaction():
                self._state.clear()
            self._service = self._new_service()
        self.faults = Faults()
        self.requests.clear()

    def _answer(self, request: ReceivedRequest) -> Response | None:
        """Return the response; None to close the connection without a response."""
        planned = self.faults.next(request)
        answer: Response | None = None
        if planned is not None:
            planned.first()
        if planned is None or planned.fault in (Fault.LOSE_ANSWER, Fault.WAIT):
            with self._lock:
                answer = self._service.answer(request)
        elif planned.fault is Fault.ANSWER:
            answer = planned.answer
        self.requests.append(
            LoggedRequest(request.method, request.path, answer.status if answer else None, request.body, self._clock())
        )
        if self.faults.latency_seconds:
            self._sleep(self.faults.latency_seconds)
        return None if planned is not None and planned.fault is Fault.LOSE_ANSWER else answer


class _HttpServer(ThreadingHTTPServer):
    """Records its connections, so that it can close the connections that a client keeps alive."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, answer: Callable[[ReceivedRequest], Response | None]) -> None:
        self.answer = answer
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        assert isinstance(request, socket.socket)
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Close the connections that are open."""
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client has closed the connection already

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about a client that closed its connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HttpServer

    def do_GET(self) -> None:
        """Handle a request."""
        url = urlsplit(self.path)
        request = ReceivedRequest(
            self.command,
            url.path.removeprefix("/api") if url.path.startswith("/api/") else f"!{url.path}",
            dict(parse_qsl(url.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length", "0"))),
            str(self.client_address[0]),
        )
        answer = self.server.answer(request)
        if answer is None:
            self.close_connection = True
            return
        body = answer.body()
        self.send_response(answer.status)
        if answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815  # the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Do not log requests: ``VerifyWiseServer.requests`` has them."""
