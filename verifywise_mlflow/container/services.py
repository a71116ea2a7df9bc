"""The services that one image runs, and the command of each service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from verifywise_mlflow import __version__
from verifywise_mlflow.instance_settings import InvalidSettingError
from verifywise_mlflow.observability.json_logs import is_json_requested

CODE_LOCATION: Final = "verifywise_mlflow"
MODULE: Final = "verifywise_mlflow.definitions"

_CLI: Final = "verifywise-mlflow"

CODE_SERVER: Final = "VERIFYWISE_CODE_SERVER"
"""The variable with the code server's address, ``host:port``. Without it, webserver and daemon load the module."""
CURRENT_IMAGE: Final = "DAGSTER_CURRENT_IMAGE"
"""The variable with a code server's image, which the manifests for Kubernetes set."""
WEBSERVER_PORT: Final = "VERIFYWISE_WEBSERVER_PORT"
CODE_SERVER_PORT: Final = "VERIFYWISE_CODE_SERVER_PORT"
LISTENER_PORT: Final = "VERIFYWISE_LISTENER_PORT"
_DEFAULT_PORTS: Final[Mapping[str, int]] = {WEBSERVER_PORT: 3000, CODE_SERVER_PORT: 4000, LISTENER_PORT: 9480}

# A container has an address of its own: network rules outside of it decide what may connect to its ports.
_ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104


class Service(StrEnum):
    """What a container runs."""

    WEBSERVER = "webserver"
    DAEMON = "daemon"
    CODE_SERVER = "code-server"
    WORKER = "worker"
    LISTEN = "listen"

    @property
    def is_part_of_dagster(self) -> bool:
        """Whether it needs an instance of Dagster."""
        return self is not Service.LISTEN


def port_of(environment: Mapping[str, str], variable: str) -> int:
    """Return the port that a variable names, or its default.

    Raises:
        InvalidSettingError: the value is not a port that a process without privileges can open.
    """
    text = environment.get(variable) or str(_DEFAULT_PORTS[variable])
    return _port(text, variable)


def service_command(
    service: Service, home: Path, environment: Mapping[str, str], options: Sequence[str] = ()
) -> list[str]:
    """Return the command line of a service whose ``DAGSTER_HOME`` is ``home``. ``options`` are appended.

    Raises:
        InvalidSettingError: a variable has an invalid value.
    """
    workspace = str(home / "workspace.yaml")
    match service:
        case Service.WEBSERVER:
            port = str(port_of(environment, WEBSERVER_PORT))
            command = ["dagster-webserver", "--workspace", workspace, "--host", _ALL_ADDRESSES, "--port", port]
        case Service.DAEMON:
            command = ["python", "-m", "verifywise_mlflow.distributed.daemon", "--workspace", workspace]
        case Service.CODE_SERVER:
            port = str(port_of(environment, CODE_SERVER_PORT))
            location = ["--module-name", MODULE, "--location-name", CODE_LOCATION]
            # The ID is the same for all replicas of a release: Dagster reloads all code when the ID changes.
            location += ["--fixed-server-id", environment.get(CURRENT_IMAGE) or f"verifywise-mlflow-{__version__}"]
            command = ["dagster", "api", "grpc", *location, "--host", _ALL_ADDRESSES, "--port", port]
        case Service.WORKER:
            command = [_CLI, "worker"]
        case Service.LISTEN:
            port = str(port_of(environment, LISTENER_PORT))
            command = [_CLI, "listen", "--host", _ALL_ADDRESSES, "--port", port]
    # This option is for the lines that a command of Dagster logs before it imports our code.
    log_format = ["--log-format", "json"] if command[0] != _CLI and is_json_requested(environment) else []
    return [*command, *log_format, *options]


def workspace(environment: Mapping[str, str]) -> dict[str, object]:
    """Return the content of workspace.yaml: the code server if there is one, else the module.

    Raises:
        InvalidSettingError: the address of the code server is invalid.
    """
    address = environment.get(CODE_SERVER)
    if not address:
        return {"load_from": [{"python_module": {"module_name": MODULE, "location_name": CODE_LOCATION}}]}
    host, _, port = address.rpartition(":")
    if not host:
        raise InvalidSettingError(f"{CODE_SERVER} is {address[:80]!r}. It must be host:port")
    server = {"host": host, "port": _port(port, CODE_SERVER), "location_name": CODE_LOCATION}
    return {"load_from": [{"grpc_server": server}]}


def _port(text: str, variable: str) -> int:
    if not (text.isascii() and text.isdigit() and 1024 <= int(text[:6]) <= 65_535):
        raise InvalidSettingError(f"{variable}: {text[:40]!r} is not a port. It must be a number from 1024 to 65535")
    return int(text)
