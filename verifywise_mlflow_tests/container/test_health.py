"""A service is healthy only if it responds, tested with real servers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from verifywise_mlflow.container.health import problem
from verifywise_mlflow.container.services import Service
from verifywise_mlflow.dagster_yaml import instance_config, to_yaml
from verifywise_mlflow.distributed.heartbeat import HEARTBEAT_FILE, MAX_AGE_SECONDS


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def web_statuses() -> Iterator[tuple[int, dict[str, int]]]:
    """A web server's port, and the status of its responses by path."""
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


@pytest.mark.parametrize(("status", "expected"), [(200, None), (500, "The listener answers with status 500")])
def test_a_listener_is_healthy_if_it_says_so(
    status: int, expected: str | None, web_statuses: tuple[int, dict[str, int]]
) -> None:
    port, statuses = web_statuses
    statuses["/healthz"] = status

    assert problem(Service.LISTEN, {"VERIFYWISE_LISTENER_PORT": str(port)}) == expected


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


def test_a_worker_that_has_just_reported_is_healthy(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    file.touch()

    assert problem(Service.WORKER, {HEARTBEAT_FILE: str(file)}) is None


@pytest.mark.parametrize(
    "url", ["redis://:hunter2-hunter2@127.0.0.1:{port}/0", "amqp://a:hunter2-hunter2@127.0.0.1:{port}//"]
)
def test_a_worker_without_heartbeat_is_unhealthy_and_the_reason_has_the_broker_but_no_password(
    url: str, free_port: int, tmp_path: Path
) -> None:
    pytest.importorskip("kombu")
    file = tmp_path / "heartbeat"
    file.touch()
    os.utime(file, (0, time.time() - 2 * MAX_AGE_SECONDS))

    found = problem(Service.WORKER, {"VERIFYWISE_BROKER_URL": url.format(port=free_port), HEARTBEAT_FILE: str(file)})

    assert found is not None
    assert re.match("The worker's last heartbeat is 12. s old: .* The broker does not accept connections: ", found)
    assert "hunter2" not in found


def test_a_worker_that_has_never_connected_is_unhealthy(tmp_path: Path) -> None:
    found = problem(Service.WORKER, {HEARTBEAT_FILE: str(tmp_path / "heartbeat")})

    assert found is not None
    assert "has not connected to the broker yet" in found
    assert "VERIFYWISE_BROKER_URL is not set" in found


@pytest.mark.parametrize("service", ["daemon", "worker", "webserver", "listen"])
def test_a_check_imports_neither_dagster_nor_celery(service: str, tmp_path: Path) -> None:
    code = (
        "import sys; from verifywise_mlflow.container.health import main; main(); "
        "print({'dagster', 'celery', 'sqlalchemy', 'pydantic'} & {*sys.modules})"
    )
    (tmp_path / "dagster.yaml").write_text(to_yaml(instance_config({})))
    (tmp_path / "heartbeat").touch()
    environment = {
        "PATH": os.defpath,
        "DAGSTER_HOME": str(tmp_path),
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_PORT": "1",
        "DAGSTER_PG_DB": "dagster",
        HEARTBEAT_FILE: str(tmp_path / "heartbeat"),
    }

    command = [sys.executable, "-c", code, service]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)

    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "No service was started"), (["postgres"], "'postgres' is not one of webserver")]
)
def test_the_check_fails_if_it_does_not_know_the_service(arguments: list[str], message: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "verifywise_mlflow.container.health", *arguments]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"TMPDIR": str(tmp_path)})

    assert done.returncode == 1
    assert message in done.stderr
