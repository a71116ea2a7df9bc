"""Locks that serialize transactions, on rows and tables.

Advisory locks are unsuitable: every role that can log in, even a tenant's reader, may take any advisory lock and make
all other sessions wait. A reader holds no lock that a sync or a command waits for. Only ``db upgrade`` waits for
transactions of readers, and ends with an error after two minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Literal, NewType

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from verifywise_mlflow.persistence.errors import LOCK_NOT_AVAILABLE, LockTimeoutError, error_code
from verifywise_mlflow.persistence.tables import SCHEMA

DeliveryLock = NewType("DeliveryLock", str)
TenantLock = Literal["sync", "audit trail", "waivers", "config versions"] | DeliveryLock
"""``sync`` admits one sync of a tenant at a time, and the lock of a target admits one delivery to it at a time. The
other locks serialize transactions that read rows and then append to them."""

_DELIVERY: Final = "delivery to "

LOCK_TIMEOUT: Final = "180s"
"""How long a statement waits for a lock by default: longer than an upgrade waits for open transactions."""

_INSERT = text(
    f"INSERT INTO {SCHEMA}.tenant_locks (tenant_id, lock) VALUES (:tenant_id, :lock) ON CONFLICT DO NOTHING"  # noqa: S608
)
_SELECT = f"SELECT 1 FROM {SCHEMA}.tenant_locks WHERE tenant_id = :tenant_id AND lock = :lock FOR UPDATE"  # noqa: S608
_LOCK = text(_SELECT)
_DELIVERY_LOCKS = text(
    f"SELECT lock FROM {SCHEMA}.tenant_locks WHERE tenant_id = :tenant_id AND lock LIKE :prefix ORDER BY lock"  # noqa: S608
)
_TRY_LOCK = text(f"{_SELECT} SKIP LOCKED")
_DRIVER_LOCK = _SELECT.replace(":tenant_id", "%(tenant_id)s").replace(":lock", "%(lock)s")
_DRIVER_TRY_LOCK = f"{_DRIVER_LOCK} SKIP LOCKED"
_TRANSACTION_TIMEOUT_VERSION: Final = (17,)
"""The first version of Postgres with a time-out of whole transactions."""

# These are two statements in one round trip. All transactions share the lock, except `db upgrade`, which takes the lock
# exclusively. So an upgrade waits for open transactions, and later transactions see the new revision. The second
# statement must begin after the lock was granted: a single statement could see the revision from before the upgrade. A
# reader may take the lock in the shared mode, which conflicts with an upgrade only.
_SHARE_SCHEMA = f"""
    LOCK TABLE {SCHEMA}.alembic_version IN ACCESS SHARE MODE;
    SELECT version_num, set_config('verifywise_mlflow.tenant', %(tenant)s, true) FROM {SCHEMA}.alembic_version
"""  # noqa: S608  # the schema's name is a constant
_ALEMBIC_VERSION = f"""
    CREATE TABLE IF NOT EXISTS {SCHEMA}.alembic_version (
        version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
    )
"""  # as Alembic creates the table, but before the first migration, since upgrades lock it


def share_schema(connection: Connection, tenant_id: str) -> str | None:
    """Hold off an upgrade until the transaction ends, and set the tenant; return the schema's revision.

    Raises:
        LockTimeoutError: an upgrade was running or waiting for too long.
    """
    with schema_lock_named():
        row = connection.exec_driver_sql(_SHARE_SCHEMA, {"tenant": tenant_id}).first()
    return row.version_num if row else None


def schema_lock_named() -> AbstractContextManager[None]:
    """Name the schema's lock in the error of a statement that waits for it for too long."""
    return _named("the schema's lock", "only verifywise-mlflow db upgrade, which is running or waiting, holds it")


def lock_schema(connection: Connection) -> None:
    """Wait until no other transaction shares the schema's lock, and hold off later ones until this transaction ends."""
    connection.execute(text(_ALEMBIC_VERSION))
    connection.execute(text(f"LOCK TABLE {SCHEMA}.alembic_version IN ACCESS EXCLUSIVE MODE"))


def schema_lock_holders(connection: Connection) -> list[str]:
    """Return the sessions whose transactions hold off an upgrade, as clauses for people."""
    query = text(
        """
        SELECT DISTINCT pid, usename, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE relation = to_regclass(:table) AND granted AND pid <> pg_backend_pid()
        -- Tables of databases that are copies of each other have the same OIDs.
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY pid
        """
    )
    rows = connection.execute(query, {"table": f"{SCHEMA}.alembic_version"})
    return [f"process {pid} of the role {role!r} ({application or 'unnamed'})" for pid, role, application in rows]


def lock_tenant(connection: Connection, tenant_id: str, lock: TenantLock) -> None:
    """Hold a lock of the tenant until the transaction ends.

    Raises:
        LockTimeoutError: another transaction held it for too long.
    """
    key = {"tenant_id": tenant_id, "lock": lock}
    with _named_lock(tenant_id, lock):
        if connection.execute(_LOCK, key).first() is None:  # the tenant's first use of the lock
            connection.execute(_INSERT, key)
            connection.execute(_LOCK, key)


def lock_and_read(connection: Connection, tenant_id: str, lock: TenantLock, query: str) -> object:
    """Hold a lock of the tenant until the transaction ends, and return a value that is read under it.

    It takes one round trip, except for the tenant's first use of the lock.

    Args:
        connection: The transaction.
        tenant_id: The tenant.
        lock: The lock.
        query: The query that returns the value; it may use the parameter ``%(tenant_id)s``.

    Raises:
        LockTimeoutError: another transaction held the lock for too long.
    """
    key = {"tenant_id": tenant_id, "lock": lock}
    # The second statement begins after the lock was granted, so it sees what the former holder wrote.
    statements = f"{_DRIVER_LOCK}; SELECT ({query}), EXISTS ({_DRIVER_LOCK.removesuffix(' FOR UPDATE')})"
    with _named_lock(tenant_id, lock):
        value, is_locked = connection.exec_driver_sql(statements, key).one()
    if not is_locked:  # the tenant's first use of the lock
        lock_tenant(connection, tenant_id, lock)
        return connection.exec_driver_sql(query, key).scalar()
    return value


def _named_lock(tenant_id: str, lock: TenantLock) -> AbstractContextManager[None]:
    holders = "a sync or another command of verifywise-mlflow holds it; no reader can"
    return _named(f"the lock of the {lock} of {tenant_id}", holders)


def delivery_lock(target: str) -> DeliveryLock:
    """Return the lock that admits one delivery to a target at a time."""
    return DeliveryLock(f"{_DELIVERY}{target}")


def delivery_locks(connection: Connection, tenant_id: str) -> list[DeliveryLock]:
    """Return the locks of all targets to which a delivery of the tenant ever began."""
    rows = connection.scalars(_DELIVERY_LOCKS, {"tenant_id": tenant_id, "prefix": f"{_DELIVERY}%"})
    return [DeliveryLock(lock) for lock in rows]


def create_tenant_lock(connection: Connection, tenant_id: str, lock: TenantLock) -> None:
    """Create a lock of the tenant, if there is none, without holding it."""
    connection.execute(_INSERT, {"tenant_id": tenant_id, "lock": lock})


def begin_long_lock(connection: Connection, tenant_id: str, lock: TenantLock) -> bool:
    """Set the tenant, disable the server's time-outs of idle and long transactions, and try to lock, in one round trip.

    The setting, the disabled time-outs and the lock last until the transaction ends. Return False if another
    transaction holds the lock, or if the tenant has no such lock yet.
    """
    statements = (
        "SELECT set_config('verifywise_mlflow.tenant', %(tenant_id)s, true)",
        *_without_timeouts(connection),
        _DRIVER_TRY_LOCK,
    )
    parameters = {"tenant_id": tenant_id, "lock": lock}
    return connection.exec_driver_sql(";".join(statements), parameters).first() is not None


def disable_timeouts(connection: Connection) -> None:
    """Disable the server's time-outs of idle and long transactions until the transaction ends."""
    connection.exec_driver_sql(";".join(_without_timeouts(connection)))


def _without_timeouts(connection: Connection) -> list[str]:
    names = ["idle_in_transaction_session_timeout"]
    if (connection.dialect.server_version_info or ()) >= _TRANSACTION_TIMEOUT_VERSION:
        names.append("transaction_timeout")
    return [f"SELECT set_config('{name}', '0', true)" for name in names]


def try_lock_tenant(connection: Connection, tenant_id: str, lock: TenantLock) -> bool:
    """Hold an existing lock of the tenant until the transaction ends.

    Return False if another transaction holds the lock, or if the lock does not exist.
    """
    return connection.execute(_TRY_LOCK, {"tenant_id": tenant_id, "lock": lock}).first() is not None


@contextmanager
def _named(lock: str, holders: str) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if error_code(error) != LOCK_NOT_AVAILABLE:
            raise
        raise LockTimeoutError(lock, holders) from error
