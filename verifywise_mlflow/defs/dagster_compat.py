"""The only module that uses Dagster's internals: private modules, undocumented methods and Dagster's own tables.

Dagster may change any of them in a minor release. ``TESTED_VERSION`` is the newest one that this code was tested with;
a newer one logs a warning at import. A test checks that no other module imports ``dagster._*``.
"""

from __future__ import annotations

import logging
import multiprocessing
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache, wraps
from importlib import import_module
from typing import Any, Final, TypeAlias
from weakref import WeakSet

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.runs import SqlRunStorage
from dagster._utils import send_interrupt
from dagster._utils.interrupts import capture_interrupts

from verifywise_mlflow.persistence import dagster_events, notifications

__all__ = [
    "CheckResultDeletion",
    "CheckRunHealthResult",
    "LaunchRunContext",
    "QueuedRunCoordinator",
    "SubmitRunContext",
    "TargetMaterialization",
    "WorkerStatus",
    "active_backfill_ids",
    "check_results_at_once",
    "code_location_of",
    "delete_previous_runless_result",
    "delete_superseded_runless_events",
    "end_canceled_runs",
    "evaluate_sensors_every",
    "execute_run",
    "fork_run_processes",
    "has_sensor_threads",
    "import_for_runs",
    "latest_materialization",
    "log_runs_by",
    "look_at_queue_on",
    "notify",
    "open_before_forks",
    "postgres_url",
    "prepare_job",
    "remember_schema",
    "reuse_connections",
    "share_connections",
    "share_connections_of_code_server",
]

TESTED_VERSION: Final = (1, 13)
"""Major and minor version. Before raising it, run all tests: they exercise each function here on a real instance."""

TargetMaterialization: TypeAlias = AssetCheckEvaluationTargetMaterializationData
"""The type of a parameter of the public ``AssetCheckEvaluation``. Dagster does not export it."""

_SECONDS_BETWEEN_INTERRUPTS: Final = 5.0
"""A sync that is interrupted needs less to end in order."""

_NO_STATEMENT_TIMEOUT, _POOL_RECYCLE_SECONDS, _MAX_POOL_OVERFLOW = 0, 300, 10
_SHARED_POOL_SIZE, _UNLIMITED_OVERFLOW = 4, -1
_POSTGRES_STORAGES: Final = ("event_log.event_log", "run_storage.run_storage", "schedule_storage.schedule_storage")
_CODE_SERVER_COMMAND: Final = ["api", "grpc"]

_RUN_PROCESS_MODULES: Final = (
    *("dagster._grpc.impl", "dagster._core.storage.root"),
    *("dagster_postgres", "psycopg2.extras"),
    *("dagster._core.executor.in_process", "dagster._core.execution.plan.active"),
    *("dagster._core.workspace.autodiscovery", "dagster._core.storage.noop_compute_log_manager"),
    *("dagster._utils.test", "encodings.ascii", "encodings.idna"),
)
"""The modules of a run process that loading the definitions does not import."""

_RUN_COMMAND_MODULE: Final = "dagster._cli.api"
"""Has the function that executes a launched run. Only workers import it: it takes 0.1 s."""

_MODULES_WITH_CONSOLE: Final = ("dagster._loggers", "dagster._core.definitions.instigation_logger")
"""The modules that make a logger for the console: of runs, and of ticks of sensors and schedules."""

_TABLES_LOOKED_FOR: Final = ("asset_event_tags", "asset_check_executions", "dynamic_partitions")
_ENGINE: Final = "_engine"
_STORE_EVENT: Final = "store_event"

_pooled_instances: WeakSet[dg.DagsterInstance] = WeakSet()


class UntestedDagsterWarning(UserWarning):
    """The installed Dagster is newer than the newest version that this project was tested with."""


def warn_if_untested(version: str) -> None:
    """Warn if a version of Dagster is newer than ``TESTED_VERSION``."""
    parts = re.match(r"(\d+)\.(\d+)", version)
    if parts is None or (int(parts[1]), int(parts[2])) > TESTED_VERSION:
        tested = ".".join(map(str, TESTED_VERSION))
        warnings.warn(
            f"Dagster {version} is installed; verifywise_mlflow was tested with versions up to {tested} and uses "
            f"internals that a newer version may have changed. Install dagster<{TESTED_VERSION[0]}."
            f"{TESTED_VERSION[1] + 1}.",
            UntestedDagsterWarning,
            stacklevel=2,
        )


warn_if_untested(dg.__version__)


def fork_run_processes(template: str) -> None:
    """Make a code server fork the process of each run from one that has imported everything already.

    By default each run is a new Python process, which imports Dagster and this project again: two seconds of CPU time,
    more than an unchanged sync itself. Python's fork server imports them once, at the first run. It has one thread and
    no connection, so a fork copies neither. It belongs to one code server: after a reload of the code, Dagster starts
    a new code server, whose runs have the new code. In any other process, and without ``os.fork``, this does nothing.

    Args:
        template: the module to import before the first fork. An exception other than ImportError would end the process
            that forks.
    """
    server = sys.modules.get("dagster._grpc.server")
    if server is None or "forkserver" not in multiprocessing.get_all_start_methods():
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_RUN_PROCESS_MODULES, template])
    start_run = server.DagsterApiServer.StartRun

    @wraps(start_run)
    def start_forked_run(self: Any, *arguments: Any) -> Any:  # Any: Dagster's own types, passed on
        self._mp_ctx = context
        return start_run(self, *arguments)

    server.DagsterApiServer.StartRun = start_forked_run


def end_canceled_runs() -> None:
    """Make a run that a person cancels end, in the processes that are forked from this one.

    Dagster interrupts the process of a canceled run once. If the step that it interrupts has a retry policy, that
    counts as a failure, and the retry goes on and succeeds. So the interrupt is repeated until the run has ended.
    """
    run_process = import_module("dagster._grpc.impl")

    def start_interrupting(is_canceled: Any, has_ended: threading.Event) -> None:  # Any: multiprocessing's Event
        arguments = (is_canceled.wait, has_ended)
        threading.Thread(target=_interrupt_until, args=arguments, name="cancellation", daemon=True).start()

    run_process.start_termination_thread = start_interrupting  # type: ignore[attr-defined]


def _interrupt_until(wait_for_cancellation: Callable[[], object], has_ended: threading.Event) -> None:
    wait_for_cancellation()  # also returns when the run has ended
    while not has_ended.is_set():
        send_interrupt()
        has_ended.wait(_SECONDS_BETWEEN_INTERRUPTS)


def log_runs_by(handler: logging.Handler) -> None:
    """Make runs, sensors and schedules log to a handler instead of the console, in processes forked from this one, too.

    dagster.yaml can only add handlers, and the loggers of a job are used only if the configuration of a run names them.
    """

    def create_logger(name: str, level: str | int) -> logging.Logger:
        logger = logging.Logger(name, level)  # outside of Python's hierarchy, as Dagster's: no record is written twice
        logger.addHandler(handler)
        return logger

    for module in _MODULES_WITH_CONSOLE:
        import_module(module).create_console_logger = create_logger  # type: ignore[attr-defined]


def evaluate_sensors_every(seconds: float) -> None:
    """Make the daemon of this process look that often for sensors that are due; Dagster does so every five seconds."""
    import_module("dagster._daemon.sensor").MIN_INTERVAL_LOOP_TIME = seconds  # type: ignore[attr-defined]


def look_at_queue_on(has_new_run: threading.Event) -> None:
    """Make the daemon of this process look at the run queue as soon as an event is set, not only once per interval.

    Dagster's interval is a whole number of seconds, and a run waits for half of it on average.
    """
    daemon = import_module("dagster._daemon.run_coordinator.queued_run_coordinator_daemon").QueuedRunCoordinatorDaemon
    end_of_look = import_module("dagster._daemon.daemon").SpanMarker.END_SPAN
    core_loop = daemon.core_loop

    @wraps(core_loop)
    def look(self: Any, context: Any, shutdown_event: threading.Event) -> Any:  # Any: Dagster's own types, passed on
        self.interval_seconds = 0
        for step in core_loop(self, context, shutdown_event):
            yield step
            if step is end_of_look:
                next_look = time.monotonic() + context.instance.run_coordinator.dequeue_interval_seconds
                while (remaining := next_look - time.monotonic()) > 0 and not shutdown_event.is_set():
                    if has_new_run.wait(min(remaining, 0.5)):
                        break
                    yield None
                has_new_run.clear()  # before the next look, which finds what sets it later

    daemon.core_loop = look


def has_sensor_threads(instance: dg.DagsterInstance) -> bool:
    """Return whether a sensor whose tick takes long holds up no other sensor."""
    settings = instance.get_sensor_settings()
    return bool(settings and settings.get("use_threads"))


def import_for_runs() -> None:
    """Import what Dagster needs to execute a run, so that processes that are forked later need not."""
    for module in (*_RUN_PROCESS_MODULES, _RUN_COMMAND_MODULE):
        import_module(module)


def prepare_job(job: dg.JobDefinition) -> None:
    """Let a job build what it needs for each run, so that processes that are forked later need not."""
    create_execution_plan(job)


def execute_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Execute a launched run in this process, which must be its main thread's: SIGTERM interrupts the run in order.

    Errors of the run are in its event log.
    """
    execute = import_module(_RUN_COMMAND_MODULE)._execute_run_command_body
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with capture_interrupts():
        execute(run_id, instance, lambda _event: None, set_exit_code_on_failure=False)


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
    """Notify those who listen to a channel of Dagster's own database, if that is in Postgres."""
    storage = instance.run_storage
    if isinstance(storage, SqlRunStorage) and hasattr(storage, "postgres_url"):
        with storage.connect() as connection:
            notifications.notify(connection, channel)


def reuse_connections(instance: dg.DagsterInstance) -> None:
    """Give the instance a connection pool for Dagster's database.

    By default a run opens a new connection for each event, which is hundreds per sync: half the time of an unchanged
    sync. Dagster offers the pool for its webserver only; a run that writes as often gains as much. A second call for
    the same instance does nothing: it would leave the connections of the first pool open.
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

    By default the daemon opens 16 connections a second, and the code server one for each look of a sensor at the runs:
    Postgres starts a process for each, which reads the catalogs again. A connection is tested before it is reused, so
    a restart of Postgres is not noticed. No call waits for a connection: past four, they are opened and closed.
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
    """Do the same in a code server, which opens an instance for each evaluation of a sensor; else nothing."""
    if sys.argv[1:3] == _CODE_SERVER_COMMAND:
        share_connections()


def remember_schema(instance: dg.DagsterInstance) -> None:
    """Look once whether Dagster's tables have what older releases did not have.

    Dagster looks before most writes, 100 times a sync, each time with a query of Postgres' catalogs, and six times over
    a new connection, since it holds the pool's only one.
    """
    runs, events = instance.run_storage, instance.event_log_storage
    if isinstance(runs, SqlRunStorage) and isinstance(events, SqlEventLogStorage):
        _remember_if_true(runs, "has_run_stats_index_cols")
        _remember_if_true(events, "_has_asset_key_col_on_connection")
        _remember_if_true(events, "has_table")


def _remember_if_true(storage: object, method: str) -> None:
    look, known = getattr(storage, method), set()

    def remembered(*arguments: object) -> bool:
        name = arguments[-1:]  # the first may be a connection
        if name not in known and look(*arguments):
            known.add(name)
        return name in known

    setattr(storage, method, remembered)


def open_before_forks() -> dg.DagsterInstance | None:
    """Return the instance for processes that are forked from this one, so that none of them has to prepare it.

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
    """Close all connections, which must not cross a fork, and let the storages of one database share the next ones."""
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    engines: dict[str, Any] = {}  # SQLAlchemy's
    for storage in storages:
        if engine := getattr(storage, _ENGINE, None):
            engine.dispose()
            setattr(storage, _ENGINE, engines.setdefault(getattr(storage, "postgres_url"), engine))  # noqa: B009


def _look_at_schema(instance: dg.DagsterInstance) -> None:
    """Read what makes Dagster look whether its tables are those of its release."""
    instance.get_run_records(limit=1)
    instance.get_asset_records([dg.AssetKey("registered_models")])
    events = instance.event_log_storage
    if isinstance(events, SqlEventLogStorage):
        events.has_asset_key_index_cols()
        for table in _TABLES_LOOKED_FOR:
            events.has_table(table)


@contextmanager
def check_results_at_once(instance: dg.DagsterInstance) -> Iterator[None]:
    """Store the check results that a step reports while the block runs in one transaction, at its end.

    By default, Dagster stores each of them in four transactions, which was a fifth of the CPU time of an unchanged
    sync. If the block raises, none is stored. An instance that is not in Postgres stores each as it comes.
    """
    storage = instance.event_log_storage
    if not (isinstance(storage, SqlEventLogStorage) and hasattr(storage, "postgres_url")):
        yield
        return
    store_event = storage.store_event
    results: list[dagster_events.CheckResult] = []

    def collect(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            results.append(_stored_form(storage, entry))
        else:
            store_event(entry)

    setattr(storage, _STORE_EVENT, collect)
    try:
        yield
    finally:
        delattr(storage, _STORE_EVENT)
    if results:
        with storage.index_transaction() as connection:
            dagster_events.store_check_results(connection, results)


def _stored_form(storage: SqlEventLogStorage, entry: dg.EventLogEntry) -> dagster_events.CheckResult:
    event, row = entry.get_dagster_event(), storage._event_to_row(entry)
    result = event.asset_check_evaluation_data
    target = result.target_materialization_data
    return dagster_events.CheckResult(
        run_id=entry.run_id,
        step_key=event.step_key,
        asset_key=result.asset_key.to_string(),
        check_name=result.check_name,
        partition=result.partition,
        status="SUCCEEDED" if result.passed else "FAILED",
        evaluated_at=row["timestamp"],
        event=row["event"],
        materialization_id=target.storage_id if target else None,
    )


def latest_materialization(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, tenant_id: str
) -> TargetMaterialization | None:
    """Return a tenant's latest materialization of an asset, as the target of a check result; None if there is none.

    A check's page shows a tenant as never checked if its result names no materialization or an old one. Dagster sets
    the target of results that an asset yields, and of no others.
    """
    partition = dg.AssetRecordsFilter(asset_key=asset_key, asset_partitions=[tenant_id])
    records = instance.fetch_materializations(partition, limit=1).records
    if not records:
        return None
    latest = records[0]
    return TargetMaterialization(storage_id=latest.storage_id, run_id=latest.run_id, timestamp=latest.timestamp)


def delete_previous_runless_result(instance: dg.DagsterInstance, result: dg.AssetCheckEvaluation) -> None:
    """Delete the last result that a sensor reported for the same check and partition; results of runs stay.

    Dagster's table of results is unique over check, run and partition, and a sensor's result has no run. Without this,
    the second result of a partition, perhaps weeks later, would fail its tick and each tick after it.
    """
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):  # true of every storage that Dagster ships
        with storage.index_connection() as connection:
            key = result.asset_key.to_string()
            dagster_events.delete_runless_check_result(connection, key, result.check_name, result.partition)


class CheckResultDeletion:
    """Deletes the check results of runs, which ``DagsterInstance.delete_run`` leaves behind.

    Delete them before the runs: without the run's ID they cannot be found.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        """Prepare for an instance; nothing is read yet."""
        self._storage = instance.event_log_storage
        self._checks: Collection[dagster_events.CheckKey] | None = None

    def delete(self, run_ids: Sequence[str]) -> None:
        """Delete the check results of these runs. The first call scans the whole table of results."""
        if isinstance(self._storage, SqlEventLogStorage):
            with self._storage.index_connection() as connection:
                if self._checks is None:
                    self._checks = dagster_events.checks_with_results(connection)
                dagster_events.delete_check_results(connection, self._checks, run_ids)


def delete_superseded_runless_events(
    instance: dg.DagsterInstance, asset_keys: Sequence[dg.AssetKey], before: datetime
) -> None:
    """Delete the events that sensors reported for these assets before a time, except the newest observations."""
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        keys = [key.to_string() for key in asset_keys]
        with storage.index_connection() as connection:
            dagster_events.delete_superseded_runless_events(connection, keys, before)


def active_backfill_ids(instance: dg.DagsterInstance) -> frozenset[str]:
    """Return the backfills that have not ended."""
    active = [status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES]
    backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=active))
    return frozenset(backfill.backfill_id for backfill in backfills)


def code_location_of(run: dg.DagsterRun) -> str | None:
    """Return the label of a run's code location; None for a run that was started without one."""
    return run.remote_job_origin.repository_origin.get_label() if run.remote_job_origin else None
