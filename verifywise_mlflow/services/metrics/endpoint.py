"""The HTTP endpoint that Prometheus scrapes: ``/metrics``, and ``/healthy`` for process supervisors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socket import AF_INET6
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from verifywise_mlflow.services.metrics.collector import MetricsCollector
from verifywise_mlflow.services.metrics.prometheus import registry_of

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_REQUEST_TIMEOUT_S = 10
"""After this time without data from a client, its connection is closed and its thread ends."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _ServerV6(_Server):
    address_family = AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_TIMEOUT_S

    def log_message(self, *arguments: object) -> None:
        """Discard the message, so that scrapes are not logged."""


def application(collector: MetricsCollector) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """Return the WSGI application."""
    metrics: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = make_wsgi_app(registry_of(collector))

    def respond(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return metrics(environ, start_response)
            case "/healthy":
                start_response("200 OK", [("Content-Type", "text/plain")])
                return [b"the metrics are served; verifywise_collection_failed shows what cannot be read\n"]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"metrics are at /metrics\n"]

    return respond


@contextmanager
def serve(collector: MetricsCollector, host: str, port: int) -> Iterator[int]:
    """Serve the last reading until the block ends; yield the port.

    Raises:
        OSError: the address cannot be listened on.
    """
    server_class = _ServerV6 if ":" in host else _Server
    server = make_server(host, port, application(collector), server_class, _Handler)

    serving = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    serving.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        serving.join(5)
