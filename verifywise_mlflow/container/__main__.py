"""The entry point of the image: starts a service or any other command, with secrets from mounted files.

``python -m verifywise_mlflow.container webserver|daemon|code-server|worker|listen [OPTION…]`` replaces this process by
the service. Before a service of Dagster starts, ``dagster.yaml`` and ``workspace.yaml`` are written to
``DAGSTER_HOME``; a mounted file is not replaced. If the first argument is not a service, the arguments are run as a
command: ``… verifywise-mlflow --help``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from verifywise_mlflow.container.secret_files import read_secret_files
from verifywise_mlflow.container.services import Service, service_command, workspace
from verifywise_mlflow.dagster_yaml import instance_config, to_yaml
from verifywise_mlflow.distributed.heartbeat import HEARTBEAT_FILE
from verifywise_mlflow.instance_settings import InvalidSettingError

_MARK: Final = "# Generated when the container started.\n"
"""The first line of a generated file, which the next start replaces. A file without this line was mounted."""


def service_file() -> Path:
    """Return the file with the name of the service that this container runs. The health check reads it."""
    return Path(tempfile.gettempdir()) / "verifywise-service"


def heartbeat_file() -> Path:
    """Return the file that a worker touches while it can take runs. The health check reads its time."""
    return Path(tempfile.gettempdir()) / "verifywise-heartbeat"


def prepare(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of the process to run. Write the files that the service needs.

    Raises:
        InvalidSettingError: a variable is missing or has an invalid value.
        OSError: ``DAGSTER_HOME`` cannot be written.
    """
    resolved = read_secret_files(environment)
    name, *options = arguments
    if name not in list(Service):
        return [name, *options], resolved
    service = Service(name)
    home = Path(resolved.get("DAGSTER_HOME") or "")
    if service.is_part_of_dagster and not home.is_absolute():
        raise InvalidSettingError("DAGSTER_HOME must be an absolute path that the service can write to")
    command = service_command(service, home, resolved, options)
    if service.is_part_of_dagster:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_unless_mounted(home / "dagster.yaml", lambda: instance_config(resolved))
        _write_unless_mounted(home / "workspace.yaml", lambda: workspace(resolved))
    service_file().write_text(service, encoding="utf-8")
    if service is Service.WORKER:
        resolved.setdefault(HEARTBEAT_FILE, str(heartbeat_file()))
    return command, resolved


def _write_unless_mounted(path: Path, content: Callable[[], Mapping[str, object]]) -> None:
    if path.exists() and not path.read_text(encoding="utf-8").startswith(_MARK):
        return
    path.write_text(_MARK + to_yaml(content()), encoding="utf-8")


def main() -> int:
    """Replace this process by the service or command; return the exit code if that fails."""
    arguments = sys.argv[1:]
    if not arguments:
        sys.stderr.write(f"Name a service ({', '.join(Service)}) or a command.\n")
        return 2
    try:
        command, environment = prepare(arguments, os.environ)
    except InvalidSettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606  # the purpose of an entry point
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main())
