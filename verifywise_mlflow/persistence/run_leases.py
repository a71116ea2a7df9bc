"""Leases of runs, so that only one worker at a time executes a run. A lease is a session's lock in Dagster's database.

A session-level advisory lock has what a lease needs. Two workers cannot both have the lock. Postgres releases the lock
when the holder's process dies. With ``idle_session_timeout``, Postgres also ends a session that has sent nothing for
half a minute, by the clock of one server. So it releases the lease of a machine that vanished, of a network that is
partitioned behind a proxy, and of a process that hangs. There is no row to clean up.

The locks are in Dagster's database, where readers need no access: ``locks.py`` explains why our own database needs
other locks. A pooler in between must pool sessions, not transactions.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from verifywise_mlflow.common.closeable import Closeable
from verifywise_mlflow.persistence.database import connect
from verifywise_mlflow.persistence.errors import translate_errors
from verifywise_mlflow.persistence.session_names import name_of_run

HEARTBEAT_SECONDS: Final = 2.0
SESSION_TIMEOUT_SECONDS: Final = 30
"""The time of silence after which Postgres ends the session of a lease."""
DAEMON: Final = "daemon"
"""The name of the lease of Dagster's daemon, in place of a run's ID."""

_TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")
_STATUS = text("SELECT status FROM runs WHERE run_id = :run_id")
_IS_HELD = text(
    """
    SELECT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND classid::bigint = :high AND objid::bigint = :low
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    """
)
_END_SESSIONS = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE application_name = :name AND datname = current_database() AND pid <> pg_backend_pid()"
)


class LeaseLostError(Exception):
    """The session with the lease has ended, or does not respond."""


class LeaseTakenError(LeaseLostError):
    """The session with the lease has ended, and another session has the lease by now."""


class RunLease(Closeable):
    """The lease of one run, held until ``close`` or until its session is lost."""

    def __init__(self, engine: Engine, run_id: str, session: Connection) -> None:
        """Take over a session that holds the lock."""
        self.run_id = run_id
        self._engine = engine
        self._session: Connection | None = session

    def close(self) -> None:
        """End the session, which releases the lease; without a network, after ``SESSION_TIMEOUT_SECONDS``."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(SQLAlchemyError):
                session.invalidate()  # closes the socket even if the server does not respond
                session.close()

    def renew(self) -> str | None:
        """Send a heartbeat; return the run's status in Dagster's database, or None if it has no such run.

        Raises:
            LeaseTakenError: another session has the lease.
            LeaseLostError: the session has ended, or the database does not respond. The next call tries to take the
                lease again.
        """
        try:
            if self._session is None:
                self._session = _lock(self._engine, self.run_id)
            if self._session is None:
                raise LeaseTakenError("another session has the lease")
            status: str | None = self._session.scalar(_STATUS, {"run_id": self.run_id})
        except SQLAlchemyError as error:
            self.close()
            raise LeaseLostError(f"no heartbeat: {type(error).__name__}") from None
        return status


class RunLeases:
    """The leases in one of Dagster's databases."""

    def __init__(self, url: str) -> None:
        """Describe the database; nothing is connected yet."""
        self._engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args={
                "application_name": "verifywise-mlflow lease",
                "connect_timeout": 5,
                "tcp_user_timeout": 5_000,  # ms until an unacknowledged heartbeat ends the connection
                "options": f"-c idle_session_timeout={SESSION_TIMEOUT_SECONDS}s -c statement_timeout=5s",
            },
        )

    def acquire(self, run_id: str) -> RunLease | None:
        """Take the lease of a run; return None if another session has it.

        Raises:
            SQLAlchemyError: the database cannot be used.
        """
        connection = _lock(self._engine, run_id)
        return None if connection is None else RunLease(self._engine, run_id, connection)

    def is_held(self, run_id: str) -> bool:
        """Return whether a worker holds the lease of a run.

        Raises:
            SQLAlchemyError: the database cannot be used.
        """
        unsigned = _key(run_id) & 0xFFFF_FFFF_FFFF_FFFF
        with self._engine.connect() as connection:
            return bool(connection.scalar(_IS_HELD, {"high": unsigned >> 32, "low": unsigned & 0xFFFF_FFFF}))


def _lock(engine: Engine, run_id: str) -> Connection | None:
    connection = engine.connect()
    if connection.scalar(_TRY_LOCK, {"key": _key(run_id)}):
        return connection
    connection.close()
    return None


def _key(run_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"verifywise-mlflow run {run_id}".encode()).digest()[:8], signed=True)


def end_sessions(url: str, run_id: str) -> int:
    """End the sessions that a lost run left in our database; return how many there were.

    Raises:
        DatabaseError: the database cannot be used, or the current role may not end these sessions.
    """
    engine = connect(url)
    try:
        with translate_errors(engine.url.username), engine.connect() as connection:
            return int(connection.scalar(_END_SESSIONS, {"name": name_of_run(run_id)}) or 0)
    finally:
        engine.dispose()
