"""The store: transactions of one tenant, and locks that admit one sync or delivery at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from verifywise_mlflow.common.closeable import Closeable
from verifywise_mlflow.persistence import locks
from verifywise_mlflow.persistence.database import (
    connect,
    ensure_schema,
    newest_revision,
    open_connection,
    refuse_revision_mismatch,
)
from verifywise_mlflow.persistence.errors import DatabaseError, translate_errors
from verifywise_mlflow.persistence.locks import TenantLock
from verifywise_mlflow.persistence.migration_wait import await_migration
from verifywise_mlflow.persistence.session import TenantSession

__all__ = ["Connection", "Store", "TenantBusyError", "TenantSession"]


class TenantBusyError(DatabaseError):
    """Another sync of the tenant, or delivery to the target, is running and did not end in time."""


class Store(Closeable):
    """Our tables in one Postgres database. As a context manager, it closes its connections at the end."""

    def __init__(
        self,
        url: str,
        *,
        dagster_user: str | None = None,
        wait_seconds: float = 0.0,
        statement_seconds: float | None = None,
    ) -> None:
        """Connect, and create the schema or check its revision.

        Args:
            url: the database.
            dagster_user: the authenticated user who requested the Dagster run; the audit trail names them.
            wait_seconds: how long to wait for a migration while the schema is older than this code.
            statement_seconds: how long a statement may take, for a service whose callers wait for it.

        Raises:
            OutdatedSchemaError: the schema is older than this code, or missing, and the role may not create it.
            NewerSchemaError: the schema is newer.
            LockTimeoutError: a migration was still running after ``wait_seconds``.
            DatabaseError: there is no such database, or it cannot be used.
        """
        self._engine = connect(url, statement_seconds)
        self._revision = newest_revision()
        self._dagster_user = dagster_user
        await_migration(lambda: ensure_schema(self._engine), wait_seconds)

    @property
    def engine(self) -> Engine:
        """The engine, for statements that belong to no tenant."""
        return self._engine

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def begin(self, tenant_id: str) -> Iterator[TenantSession]:
        """Open a transaction of a tenant. It commits when the block ends and rolls back when the block raises.

        Row-level security limits what a pipeline's role writes to that tenant's rows. A schema that was upgraded since
        this process started is refused.

        Raises:
            DatabaseUnreachableError: no connection could be opened.
            LockTimeoutError: an upgrade or another session held a lock for too long.
            DatabaseFailedError: the connection was lost, or the database could not run a statement.
            DatabaseError: the server is too old or read-only, the schema is at another revision by now, or the role
                lacks a privilege.
        """
        with self._transaction(tenant_id) as connection:
            yield TenantSession(connection, tenant_id, self._dagster_user)

    @contextmanager
    def begin_snapshot(self, tenant_id: str, snapshot: str = "") -> Iterator[TenantSession]:
        """Open a read-only transaction of a tenant, in which all queries see the same state of the database.

        The server's time-outs of idle and long transactions do not apply to it. Raises the same errors as ``begin``,
        and a ``DBAPIError`` if the transaction that exported ``snapshot`` has ended.

        Args:
            tenant_id: The tenant.
            snapshot: The result of ``export_snapshot`` in another transaction of this kind that is still open. Both
                transactions see the same state.
        """
        with self._transaction(
            tenant_id, snapshot, isolation_level="REPEATABLE READ", postgresql_readonly=True
        ) as connection:
            locks.disable_timeouts(connection)
            yield TenantSession(connection, tenant_id, self._dagster_user)

    @contextmanager
    def begin_shared(self) -> Iterator[Connection]:
        """Open a transaction that belongs to no tenant: for the list of tenants, role grants and the owner's work.

        Raises the same errors as ``begin``. Here, row-level security hides tenants' rows from a pipeline's role, except
        the rows of the tables ``tenants`` and ``change_hints``.
        """
        with self._transaction("") as connection:
            yield connection

    @contextmanager
    def _transaction(self, tenant_id: str, snapshot: str = "", **options: str | bool) -> Iterator[Connection]:
        with (
            open_connection(self._engine) as connection,
            translate_errors(self._engine.url.username),
            connection.execution_options(**options).begin(),
        ):
            if snapshot:  # as the transaction's first statement
                connection.exec_driver_sql("SET TRANSACTION SNAPSHOT %s", (snapshot,))
            refuse_revision_mismatch(locks.share_schema(connection, tenant_id), self._revision)
            yield connection

    @contextmanager
    def exclusive(self, tenant_id: str, *, wait_seconds: float = 600.0, lock: TenantLock = "sync") -> Iterator[None]:
        """Hold a lock of the tenant while the block runs, so that no other sync, or delivery to the target, runs.

        The lock belongs to an open transaction, so Postgres releases it when this process dies or loses the
        transaction's connection. A lost connection does not end the block.

        Raises:
            TenantBusyError: another process held the lock for all of ``wait_seconds``.
            DatabaseError: for the same reasons as in ``begin``.
        """
        deadline = time.monotonic() + wait_seconds
        with open_connection(self._engine) as connection, translate_errors(self._engine.url.username):
            # The schema's lock is not taken here: an upgrade waits for the sync's transactions, not for the whole sync.
            is_locked = locks.begin_long_lock(connection, tenant_id, lock)
            if not is_locked:  # another process holds the lock, or the tenant has no such lock yet
                with self._transaction(tenant_id) as other_connection:
                    locks.create_tenant_lock(other_connection, tenant_id, lock)
            while not (is_locked or locks.try_lock_tenant(connection, tenant_id, lock)):
                if time.monotonic() > deadline:
                    raise TenantBusyError(
                        f"another {lock} of {tenant_id} is still running after a wait of {wait_seconds:.0f} s: wait "
                        "for it, or end it"
                    )
                time.sleep(0.25)
            try:
                yield
            finally:
                # A lost connection has released the lock; its error must not hide an error of the block.
                with suppress(OperationalError):
                    connection.rollback()
