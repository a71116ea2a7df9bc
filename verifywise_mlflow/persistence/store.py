"""The store: transactions, and one writer a tenant at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from verifywise_mlflow.persistence.database import DatabaseError, connect, ensure_schema

__all__ = ["Connection", "Store", "TenantBusyError"]  # other rooms name a connection, too, but no SQL


class TenantBusyError(DatabaseError):
    """Another sync of the tenant is at work and did not end in time."""


class Store:
    """Our tables in one Postgres database."""

    def __init__(self, url: str) -> None:
        """Connect, and make sure that the schema is this code's.

        Raises:
            DatabaseError: there is no such database, or its schema is another.
        """
        self._engine = connect(url)
        ensure_schema(self._engine)

    @property
    def engine(self) -> Engine:
        """The connections, for reading in the ways of SQLAlchemy and pandas."""
        return self._engine

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def begin(self) -> AbstractContextManager[Connection]:
        """Open a transaction; it is kept when the block ends well, and undone otherwise."""
        return self._engine.begin()

    @contextmanager
    def exclusive(self, tenant_id: str, *, wait_seconds: float = 600.0) -> Iterator[None]:
        """Keep other syncs of the tenant out while the block runs.

        The lock belongs to a connection, so Postgres lifts it when this process dies.

        Raises:
            TenantBusyError: another sync held it for all of ``wait_seconds``.
        """
        lock = {"lock": f"verifywise {tenant_id}"}
        deadline = time.monotonic() + wait_seconds
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while not connection.scalar(text("SELECT pg_try_advisory_lock(hashtextextended(:lock, 0))"), lock):
                if time.monotonic() > deadline:
                    raise TenantBusyError(
                        f"another sync of {tenant_id} has been at work for {wait_seconds:.0f} s: wait for it, or end it"
                    )
                time.sleep(0.25)
            try:
                yield
            finally:
                # A connection that is lost took the lock with it; that must not hide how the block ended.
                with suppress(OperationalError):
                    connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:lock, 0))"), lock)
