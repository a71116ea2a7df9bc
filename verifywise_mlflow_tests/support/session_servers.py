"""The Postgres and the MLflow server of a session, which all processes of the session share.

With pytest-xdist, the controller starts the servers while its workers collect tests. It writes the addresses into a
file that the workers wait for, and stops the servers after the workers. If the controller is killed, the watchdog of
``ChildProcess`` stops the servers.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, temporary_postgres
from verifywise_mlflow_tests.support import mlflow_process
from verifywise_mlflow_tests.support.databases import adopt_template, create_template
from verifywise_mlflow_tests.support.warm_services import running_parent, warm_services

_START_TIMEOUT_S = 300


class RunningPostgres(EmbeddedPostgres):
    """A Postgres that another process started and stops."""

    def __init__(self, port: int, password: str) -> None:
        """Describe the server."""
        super().__init__(Path("in another process"))
        self._port = port
        self._password = password


@dataclass(frozen=True, slots=True)
class RunningMlflow:
    """An MLflow server with workspaces."""

    uri: str
    database: Path
    """Its SQLite file. The folder ``artifacts`` next to it holds the artifacts."""
    template: Path
    """A copy of the database before its first use. Other servers start with a copy, since a migration takes 1 s."""


@contextmanager
def session_postgres() -> Iterator[EmbeddedPostgres]:
    """Run a Postgres with the template of ``databases``."""
    with temporary_postgres() as server:
        create_template(server)
        yield server


@contextmanager
def session_mlflow(home: Path) -> Iterator[RunningMlflow]:
    """Run an MLflow server in this folder."""
    database, template = home / "mlflow.db", home / "template.db"
    with closing(sqlite3.connect(database)) as connection:
        # With a write-ahead log, a commit waits for the disk once instead of four times.
        connection.execute("PRAGMA journal_mode=WAL")
    with MlflowServer(
        backend_uri=f"sqlite:///{database}",
        artifacts=home / "artifacts",
        log=home / "mlflow.log",
        arguments=["--enable-workspaces"],
        environment=mlflow_process.WEBHOOK_VARIABLES,
        program=mlflow_process.PROGRAM,
    ) as server:
        with closing(sqlite3.connect(database)) as connection, closing(sqlite3.connect(template)) as copy:
            connection.backup(copy)
        yield RunningMlflow(server.uri, database, template)


class SharedServers:
    """The controller's side: both servers, started in the background."""

    def __init__(self) -> None:
        """Start them."""
        self._folder = tempfile.TemporaryDirectory(prefix="verifywise-servers-")
        self._stop_requested = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def folder(self) -> str:
        """The folder with the files that state the addresses of the servers."""
        return self._folder.name

    def stop(self) -> None:
        """Stop them."""
        self._stop_requested.set()
        self._thread.join()
        self._folder.cleanup()

    def _run(self) -> None:
        home = Path(self.folder)
        try:
            with ExitStack() as stack:
                parent = stack.enter_context(running_parent(home / "services.socket"))
                stack.enter_context(warm_services(lambda: parent))
                postgres = stack.enter_context(session_postgres())
                _publish(home / "postgres.json", {"port": postgres.port, "password": postgres.password})
                mlflow = stack.enter_context(session_mlflow(home))
                paths = {"database": str(mlflow.database), "template": str(mlflow.template)}
                _publish(home / "mlflow.json", {"uri": mlflow.uri, **paths})
                self._stop_requested.wait()
        except BaseException as error:
            _publish(home / "failure.json", {"error": str(error)})
            raise


def shared_parent(folder: str) -> Path:
    """Return the address of the process that the services of the controller and of its workers are forked from."""
    return Path(folder, "services.socket")


def shared_postgres(folder: str) -> EmbeddedPostgres:
    """Return the controller's Postgres to a worker."""
    description = _read(Path(folder, "postgres.json"))
    server = RunningPostgres(int(description["port"]), description["password"])
    adopt_template(server)
    return server


def shared_mlflow(folder: str) -> RunningMlflow:
    """Return the controller's MLflow to a worker."""
    description = _read(Path(folder, "mlflow.json"))
    return RunningMlflow(description["uri"], Path(description["database"]), Path(description["template"]))


def _publish(path: Path, description: dict[str, object]) -> None:
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(description))
    partial.rename(path)


def _read(path: Path) -> dict[str, str]:
    """Wait until the controller has written a file, and return the content of the file."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    failure = path.with_name("failure.json")
    while not path.exists():
        assert not failure.exists(), failure.read_text()
        assert time.monotonic() < deadline, f"no {path.name} after {_START_TIMEOUT_S} s"
        time.sleep(0.1)
    return {name: str(value) for name, value in json.loads(path.read_text()).items()}
