"""Connections to Dagster's own database: pooled, shared, and prepared before a process forks."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any, Final
from weakref import WeakSet

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.runs import SqlRunStorage

from verifywise_mlflow.persistence import notifications

_NO_STATEMENT_TIMEOUT, _POOL_RECYCLE_SECONDS, _MAX_POOL_OVERFLOW = 0, 300, 10
_SHARED_POOL_SIZE, _UNLIMITED_OVERFLOW = 4, -1
_POSTGRES_STORAGES: Final = ("event_log.event_log", "run_storage.run_storage", "schedule_storage.schedule_storage")
_CODE_SERVER_COMMAND: Final = ["api", "grpc"]
_TABLES_LOOKED_FOR: Final = ("asset_event_tags", "asset_check_executions", "dynamic_partitions")
_ENGINE: Final = "_engine"

_pooled_instances: WeakSet[dg.DagsterInstance] = WeakSet()


def postgres_url(instance: dg.DagsterInstance) -> str:
    """Return the URL of Dagster's own database, with its password.

    Raises:
        DagsterInvariantViolationError: the instance stores its runs elsewhere.
    """
    url = getattr(instance.run_storage, "postgres_url", None)
    if not isinstance(url, str):
        raise dg.DagsterInvariantViolationError("workers on several machines need storage.postgres in dagster.yaml")
    return url


def notify(instance: dg.DagsterInstance, channel: str) -> None:
    """Notify the listeners of a channel of Dagster's own database, if the database is Postgres."""
    storage = instance.run_storage
    if isinstance(storage, SqlRunStorage) and hasattr(storage, "postgres_url"):
        with storage.connect() as connection:
            notifications.notify(connection, channel)


def reuse_connections(instance: dg.DagsterInstance) -> None:
    """Give the instance a connection pool for Dagster's database.

    By default a run opens a new connection for each event. A sync has hundreds of events, and their connections took
    half the time of an unchanged sync. Dagster offers the pool for its webserver only, but a run that writes as often
    gains as much. A second call for the same instance does nothing: a second pool would leave the first pool's
    connections open.
    """
    if instance not in _pooled_instances:
        _pooled_instances.add(instance)
        instance.optimize_for_webserver(
            statement_timeout=_NO_STATEMENT_TIMEOUT,
            pool_recycle=_POOL_RECYCLE_SECONDS,
            max_overflow=_MAX_POOL_OVERFLOW,
        )
        remember_schema(instance)


def share_connections() -> None:
    """Give all instances of this process, which does not fork, one connection pool for Dagster's database.

    By default the daemon opens 16 connections a second, and the code server opens a connection whenever a sensor reads
    the runs. For each connection, Postgres starts a process, which reads the catalogs again. A connection is tested
    before it is reused, so a restart of Postgres causes no error. No call waits for a connection: beyond four,
    connections are opened and closed on demand.
    """

    @cache
    def shared_engine(url: str, token_provider: Any = None) -> Any:  # Any: Dagster's own types, passed on
        return create_engine(
            url,
            token_provider,
            isolation_level="AUTOCOMMIT",
            pool_size=_SHARED_POOL_SIZE,
            max_overflow=_UNLIMITED_OVERFLOW,
            pool_recycle=_POOL_RECYCLE_SECONDS,
            pool_pre_ping=True,
        )

    create_engine = import_module("dagster_postgres.utils").create_pg_engine
    for storage in _POSTGRES_STORAGES:
        module = import_module(f"dagster_postgres.{storage}")
        module.create_pg_engine = lambda url, token_provider=None, **_pool: shared_engine(url, token_provider)  # type: ignore[attr-defined]


def share_connections_of_code_server() -> None:
    """Call ``share_connections`` if this is a code server, which opens an instance for each evaluation of a sensor."""
    if sys.argv[1:3] == _CODE_SERVER_COMMAND:
        share_connections()


def remember_schema(instance: dg.DagsterInstance) -> None:
    """Check once whether Dagster's tables have the parts that older releases lacked.

    Dagster checks this before most writes, 100 times a sync. Each check queries Postgres' catalogs. Six of the checks
    open a new connection, since Dagster already holds the pool's only connection at that time.
    """
    runs, events = instance.run_storage, instance.event_log_storage
    if isinstance(runs, SqlRunStorage) and isinstance(events, SqlEventLogStorage):
        _remember_if_true(runs, "has_run_stats_index_cols")
        _remember_if_true(events, "_has_asset_key_col_on_connection")
        _remember_if_true(events, "has_table")


def _remember_if_true(storage: object, method: str) -> None:
    look, known = getattr(storage, method), set()

    def remembered(*arguments: object) -> bool:
        name = arguments[-1:]  # the first argument may be a connection
        if name not in known and look(*arguments):
            known.add(name)
        return name in known

    setattr(storage, method, remembered)


def open_before_forks() -> dg.DagsterInstance | None:
    """Return an instance that is prepared once for all processes that are forked from this one.

    Returns:
        The instance without an open connection, or None if its database cannot be used.
    """
    try:
        instance = dg.DagsterInstance.get()
        reuse_connections(instance)
        _look_at_schema(instance)
        instance.run_coordinator  # noqa: B018  # which loads its class
        _use_one_pool(instance)
    except Exception:  # noqa: BLE001  # each driver has errors of its own; a run meets them, too, and reports them
        return None
    return instance


def _use_one_pool(instance: dg.DagsterInstance) -> None:
    """Close all connections, which must not cross a fork. The storages of one database share the next connections."""
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    engines: dict[str, Any] = {}  # SQLAlchemy's
    for storage in storages:
        if engine := getattr(storage, _ENGINE, None):
            engine.dispose()
            setattr(storage, _ENGINE, engines.setdefault(getattr(storage, "postgres_url"), engine))  # noqa: B009


def _look_at_schema(instance: dg.DagsterInstance) -> None:
    """Read the properties with which Dagster checks whether its tables match its release."""
    instance.get_run_records(limit=1)
    instance.get_asset_records([dg.AssetKey("registered_models")])
    events = instance.event_log_storage
    if isinstance(events, SqlEventLogStorage):
        events.has_asset_key_index_cols()
        for table in _TABLES_LOOKED_FOR:
            events.has_table(table)
