"""A process that has imported what services import, and is forked for each service that a test starts.

Imports are most of the CPU time of a start: two to four seconds for Dagster's services, workers and MLflow. The forked
process runs the module as ``python -m`` does, with its own environment, folder, log, session and command line.

``python -m verifywise_mlflow_tests.support.warm_parent SOCKET PADDING`` accepts a connection for each service. The
client sends a line of JSON, and receives the process ID at the start and the exit code at the end. The padding reserves
memory for the command lines of the forked processes, since ``ps`` and the tests read these command lines.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

_CODE_SERVER: Final = (
    "dagster._cli",
    "dagster._grpc.server",
    "dagster_postgres",
    "verifywise_mlflow.defs.dagster_compat",
    "verifywise_mlflow.defs.assets.stages",
)
_WEBSERVER: Final = ("dagster_webserver.cli", "dagster_webserver.app", "dagster_postgres")
_DAEMON: Final = ("verifywise_mlflow.distributed.daemon", "dagster_postgres")
_WORKER: Final = ("verifywise_mlflow.distributed.worker", "celery.apps.worker", "dagster_postgres")
_MLFLOW: Final = ("mlflow.cli", "mlflow.server.fastapi_app", "uvicorn.main")
MODULES: Final[Mapping[str, Sequence[str]]] = {
    "dagster": _CODE_SERVER,
    "dagster_webserver": _WEBSERVER,
    "verifywise_mlflow.distributed.daemon": _DAEMON,
    "verifywise_mlflow.cli": (*_WORKER, "verifywise_mlflow.cli", "verifywise_mlflow.listener.server"),
    "verifywise_mlflow.container": (*_CODE_SERVER, *_WEBSERVER, *_DAEMON, *_WORKER),
    "verifywise_mlflow.demo.registries": ("verifywise_mlflow.demo.registries.registry", "mlflow.sklearn"),
    "verifywise_mlflow_tests.distributed.next_release": _WORKER,
    "verifywise_mlflow_tests.support.mlflow_process": _MLFLOW,
    "verifywise_mlflow.demo.servers.mlflow_program": _MLFLOW,
}
"""The programs that can be started, each with the modules to import before its first start. No module depends on the
environment."""
SCRIPTS: Final[Mapping[str, str]] = {
    "dagster": "dagster",
    "dagster-webserver": "dagster_webserver",
    "verifywise-mlflow": "verifywise_mlflow.cli",
}
"""The modules of the installed commands that the entry point of the image executes."""
_READ_AT_IMPORT: Final = ("mlflow.server", "verifywise_mlflow.definitions")
"""Modules that read the environment: each process imports them again. The modules that they import stay."""


def main() -> None:
    """Fork a process for each connection until the client of this process ends."""
    gc.disable()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    wake, wake_up = socket.socketpair()
    for end in (wake, wake_up):
        end.setblocking(False)
    signal.set_wakeup_fd(wake_up.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    clients: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for source in (listener, wake, sys.stdin.buffer):
            selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if sys.stdin.buffer in ready:
                return  # its client has ended
            if wake in ready:
                with suppress(BlockingIOError):
                    wake.recv(4096)
            if listener in ready:
                client, _ = listener.accept()
                order = json.loads(client.makefile("rb").readline())
                _import(order["arguments"][2])
                process = os.fork()
                if process == 0:
                    selector.close()
                    for opened in (listener, wake, wake_up, client, *clients.values()):
                        opened.close()
                    _run(order)
                clients[process] = client
                client.sendall(b"%d\n" % process)
            _report_ends(clients)


def _report_ends(clients: dict[int, socket.socket]) -> None:
    for process in [*clients]:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            with suppress(OSError), clients.pop(process) as client:
                client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


@cache
def _import(module: str) -> None:
    """Import what a service needs, once."""
    for name in MODULES[module]:
        importlib.import_module(name)
    for name in [*sys.modules]:
        if name.startswith(_READ_AT_IMPORT):
            _unregister_metrics(sys.modules[name])
            del sys.modules[name]
            package, _, attribute = name.rpartition(".")
            if package in sys.modules:
                sys.modules[package].__dict__.pop(attribute, None)
    gc.freeze()


def _unregister_metrics(module: ModuleType) -> None:
    """Let the module create its metrics again."""
    if "prometheus_client" in sys.modules:
        metrics = sys.modules["prometheus_client"]
        for value in vars(module).values():
            if isinstance(value, metrics.Counter | metrics.Gauge | metrics.Histogram):
                with suppress(KeyError):
                    metrics.REGISTRY.unregister(value)


def _run(order: Mapping[str, Any]) -> NoReturn:
    """Run the service in the forked process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    output = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, 256)
    tempfile.tempdir = None  # the folder of this process, not of its parent
    if order["folder"]:
        os.chdir(order["folder"])
    gc.enable()

    def become_in_this_environment(_program: str, command: Sequence[str]) -> NoReturn:
        _become(command, dict(os.environ))

    def become(_program: str, command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
        _become(command, environment)

    os.execv = become_in_this_environment  # type: ignore[assignment]  # our programs pass texts alone
    os.execvpe = become  # type: ignore[assignment]
    _become(order["arguments"], order["environment"])


def _become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run a command as if this process had been started with it."""
    if Path(command[0]).name.startswith("python"):
        assert command[1] == "-m", command
        module, arguments = command[2], command[3:]
    else:
        module, arguments = SCRIPTS[command[0]], command[1:]
    os.environ.clear()
    os.environ.update(environment)
    for path in environment.get("PYTHONPATH", "").split(":"):
        if path and path not in sys.path:
            sys.path.insert(0, path)
    _show(command)
    _import_again(module)
    sys.argv = ["", *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()


def _import_again(module: str) -> None:
    """Let runpy run a module that is imported, without its warning."""
    for name in (module, f"{module}.__main__"):
        if name in sys.modules and not hasattr(sys.modules[name], "__path__"):
            del sys.modules[name]


def _show(command: Sequence[str]) -> None:
    """Write the command line into the memory that ``ps`` reads."""
    start, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    text = b"\0".join(map(os.fsencode, command))
    assert len(text) < end - start, "the padding is too short"
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    main()
