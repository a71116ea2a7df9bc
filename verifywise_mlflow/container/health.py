"""The health check of a container: exits with 0 if its service answers, else with 1 and the reason.

``python -m verifywise_mlflow.container.health [SERVICE]`` checks the service; by default, the service that the entry
point started. Checks run every half minute in every container, so they import few modules, and never Dagster.
"""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from verifywise_mlflow.container.__main__ import heartbeat_file, service_file
from verifywise_mlflow.container.secret_files import read_secret_files
from verifywise_mlflow.container.services import CODE_SERVER_PORT, LISTENER_PORT, WEBSERVER_PORT, Service, port_of
from verifywise_mlflow.distributed.heartbeat import HEARTBEAT_FILE, heartbeat_problem
from verifywise_mlflow.instance_settings import InvalidSettingError
from verifywise_mlflow.services.installation.broker import BROKER_URL, broker_problem

TIMEOUT: Final = 5
"""The time in seconds after which a service that does not answer is unhealthy."""


def problem(service: Service, environment: Mapping[str, str]) -> str | None:
    """Return why a service is unhealthy, or None.

    Raises:
        InvalidSettingError: a variable has an invalid value.
    """
    match service:
        case Service.WEBSERVER:
            return _http_problem("webserver", port_of(environment, WEBSERVER_PORT), "/server_info")
        case Service.LISTEN:
            return _http_problem("listener", port_of(environment, LISTENER_PORT), "/healthz")
        case Service.CODE_SERVER:
            return _code_server_problem(port_of(environment, CODE_SERVER_PORT))
        case Service.DAEMON:
            from verifywise_mlflow.container.daemon_health import daemon_problem  # imports the database driver

            return daemon_problem(environment, time.time())
        case Service.WORKER:
            return _worker_problem(environment)


def _http_problem(name: str, port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"The {name} does not answer on port {port}: {type(error).__name__}"
    finally:
        connection.close()
    return None if status == http.client.OK else f"The {name} answers with status {status}"


def _code_server_problem(port: int) -> str | None:
    import grpc  # type: ignore[import-untyped]  # not for the other services
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

    request = health_pb2.HealthCheckRequest(service="DagsterApi")  # the name that Dagster's server uses
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT).status
        except grpc.RpcError as error:
            return f"The code server does not answer on port {port}: {error.code().name}"
    serving = health_pb2.HealthCheckResponse.SERVING
    return None if status == serving else f"The code server reports the status {status}"


def _worker_problem(environment: Mapping[str, str]) -> str | None:
    found = heartbeat_problem(Path(environment.get(HEARTBEAT_FILE) or heartbeat_file()), time.time())
    if found is None:
        return None
    return ". ".join(filter(None, (found, broker_problem(environment.get(BROKER_URL) or ""))))


def main() -> int:
    """Check the service; return the exit code."""
    try:
        environment = read_secret_files(os.environ)
        found = problem(_service(sys.argv[1:]), environment)
    except InvalidSettingError as error:
        found = str(error)
    if found:
        sys.stderr.write(f"{found}\n")
    return 1 if found else 0


def _service(arguments: list[str]) -> Service:
    try:
        name = arguments[0] if arguments else service_file().read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSettingError(f"No service was started: {service_file()} cannot be read") from error
    if name not in list(Service):
        raise InvalidSettingError(f"{name[:40]!r} is not one of {', '.join(Service)}")
    return Service(name)


if __name__ == "__main__":
    sys.exit(main())
