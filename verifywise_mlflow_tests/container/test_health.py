"""A service that answers is healthy, one that does not is not: against real servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from verifywise_mlflow.container.health import problem
from verifywise_mlflow.container.services import Service
from verifywise_mlflow_tests.defs.production import production_instance


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def web_statuses() -> Iterator[tuple[int, dict[str, int]]]:
    """A web server's port, and the status that it answers with by path."""
    statuses: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the signature is the library's
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, statuses
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "expected"), [(200, None), (500, "The webserver answers with status 500")])
def test_a_webserver_is_healthy_if_it_describes_itself(
    status: int, expected: str | None, web_statuses: tuple[int, dict[str, int]]
) -> None:
    port, statuses = web_statuses
    statuses["/server_info"] = status

    assert problem(Service.WEBSERVER, {"VERIFYWISE_WEBSERVER_PORT": str(port)}) == expected


def test_a_webserver_that_does_not_listen_is_unhealthy(free_port: int) -> None:
    found = problem(Service.WEBSERVER, {"VERIFYWISE_WEBSERVER_PORT": str(free_port)})

    assert found == f"The webserver does not answer on port {free_port}: ConnectionRefusedError"


@pytest.mark.parametrize("serving", [True, False])
def test_a_code_server_is_healthy_if_dagsters_service_is_serving(serving: bool) -> None:
    servicer = health.HealthServicer()
    status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
    servicer.set("DagsterApi", status)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    found = problem(Service.CODE_SERVER, {"VERIFYWISE_CODE_SERVER_PORT": str(port)})

    server.stop(grace=None)
    assert found == (None if serving else f"The code server reports the status {status}")


def test_a_code_server_that_does_not_listen_is_unhealthy(free_port: int) -> None:
    found = problem(Service.CODE_SERVER, {"VERIFYWISE_CODE_SERVER_PORT": str(free_port)})

    assert found == f"The code server does not answer on port {free_port}: UNAVAILABLE"


def test_a_daemon_without_heartbeats_is_unhealthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")  # where the command is looked up
    with production_instance(tmp_path, {}, in_sqlite=True):
        pass

    found = problem(Service.DAEMON, dict(os.environ) | {"DAGSTER_HOME": str(tmp_path)})

    assert found is not None
    assert "dagster-daemon liveness-check exited with 1" in found


@pytest.mark.parametrize(
    "url", ["redis://:hunter2-hunter2@127.0.0.1:{port}/0", "amqp://a:hunter2-hunter2@127.0.0.1:{port}//"]
)
def test_a_worker_whose_broker_refuses_is_unhealthy_and_the_reason_has_no_password(url: str, free_port: int) -> None:
    pytest.importorskip("kombu")

    found = problem(Service.WORKER, {"VERIFYWISE_BROKER_URL": url.format(port=free_port)})

    assert found is not None
    assert found.startswith("The broker does not accept the worker's connection: ")
    assert "hunter2" not in found


def test_a_worker_without_a_broker_is_unhealthy() -> None:
    assert problem(Service.WORKER, {}) == "VERIFYWISE_BROKER_URL is not set"


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "No service was started"), (["postgres"], "'postgres' is not one of webserver")]
)
def test_the_check_fails_if_it_does_not_know_the_service(arguments: list[str], message: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "verifywise_mlflow.container.health", *arguments]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"TMPDIR": str(tmp_path)})

    assert done.returncode == 1
    assert message in done.stderr
