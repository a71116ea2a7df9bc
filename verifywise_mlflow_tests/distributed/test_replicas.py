"""Several replicas of each service: two webservers, two code servers, a replaced daemon, workers of two releases."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from dagster._grpc.client import DagsterGrpcClient
from sqlalchemy import create_engine, text

from verifywise_mlflow.demo.errors import DagsterApiError
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence import database
from verifywise_mlflow.persistence.run_leases import DAEMON, RunLeases
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow_tests.distributed.brokers import Redis
from verifywise_mlflow_tests.distributed.installation import (
    ENDED,
    PARTITION,
    Installation,
    installation,
    wait_for,
)
from verifywise_mlflow_tests.distributed.replicas import Replicas, replicas
from verifywise_mlflow_tests.distributed.slow_server import SlowServer, slow_server
from verifywise_mlflow_tests.persistence.synthetic_revision import (
    INITIAL_REVISION,
    LATER_REVISION,
    migrations_with_a_second_revision,
)
from verifywise_mlflow_tests.support.registry import Registry

pytestmark = [pytest.mark.slow(seconds=100), pytest.mark.timeout(600)]

SUCCESS, FAILURE, CANCELED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED
BACKFILL = "dagster/backfill"
AUTOMATIONS = {"dagster/schedule_name", "dagster/sensor_name"}


@pytest.fixture(scope="module")
def installed(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("replicated")
    with installation(postgres, Redis(home / "redis"), home, with_dagster=False) as running:
        yield running


@pytest.fixture(scope="module")
def running(installed: Installation) -> Iterator[Replicas]:
    with replicas(installed) as running:
        running.start_worker()
        running.start_daemons(2)
        yield running


@pytest.fixture
def servers(mlflow_uri: str) -> Iterator[list[SlowServer]]:
    """Two servers with the same registry, so that a test can hold two syncs."""
    with slow_server(mlflow_uri) as one, slow_server(mlflow_uri) as other:
        yield [one, other]


@pytest.fixture
def add_tenant(
    installed: Installation, servers: list[SlowServer], registry: Registry, workspace: str
) -> Callable[[str, int], None]:
    registry.version("churn", tags={"owner": "ada"})

    def add(tenant: str, server: int = 0) -> None:
        installed.add_tenant(tenant, servers[server].tenant_settings(workspace))

    return add


def launch(running: Replicas, tenant: str, webserver: int = 0) -> str:
    """Request a sync at one of the webservers; return the run's ID."""
    earlier = {run.run_id for run in running.installed.runs(tenant)}
    running.webservers[webserver].api.launch(tenant)
    return next(run.run_id for run in running.installed.runs(tenant) if run.run_id not in earlier)


def launch_unless_lost(running: Replicas, tenant: str, webserver: int) -> str | None:
    """Request a sync. Return None if the request used a connection to a code server that has just died."""
    try:
        return launch(running, tenant, webserver)
    except DagsterApiError as error:
        if "UNAVAILABLE" not in str(error):
            raise
        return None


def test_two_webservers_show_the_same_runs_and_one_sync_of_a_tenant_runs_at_a_time(
    running: Replicas, servers: list[SlowServer], add_tenant: Callable[[str], None]
) -> None:
    servers[0].release()
    add_tenant("shared")

    with ThreadPoolExecutor() as pool:
        for launched in [pool.submit(webserver.api.launch, "shared") for webserver in running.webservers]:
            launched.result()

    installed = running.installed
    wait_for(lambda: all(run.status in ENDED for run in installed.runs("shared")), 180, installed.log_tails())
    ended = installed.runs("shared")
    runs = {run.run_id: run.status for run in ended}
    requested = [run for run in ended if AUTOMATIONS.isdisjoint(run.tags)]  # a schedule or a sensor may tick, too
    assert len(requested) == 2
    assert set(runs.values()) <= {SUCCESS, CANCELED}, "the second is removed from the queue, or runs after the first"
    records = installed.instance.get_run_records(dg.RunsFilter(run_ids=[id_ for id_ in runs if runs[id_] is SUCCESS]))
    spans = sorted((record.start_time or 0.0, record.end_time or 0.0) for record in records)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    for webserver in running.webservers:
        assert {run.run_id for run in webserver.api.sync_runs()} >= set(runs)


def test_two_code_servers_are_one_to_dagster_and_one_of_them_is_enough(
    running: Replicas, servers: list[SlowServer], add_tenant: Callable[[str], None]
) -> None:
    servers[0].release()
    add_tenant("rebalanced")
    balanced = DagsterGrpcClient(port=running.code_server_port, host="127.0.0.1")
    assert len({balanced.get_server_id() for _ in range(4)}) == 1, "another ID would make Dagster load all code again"

    os.kill(running.code_servers[0].pid, signal.SIGKILL)

    run_id = wait_for(lambda: launch_unless_lost(running, "rebalanced", webserver=1), 30, "a request that is answered")
    assert run_id is not None
    assert running.installed.await_end(run_id, 120) is SUCCESS
    assert [webserver.has_loaded() for webserver in running.webservers] == [True, True]


def test_a_standby_daemon_finishes_the_backfill_of_a_killed_one_and_syncs_no_tenant_twice(
    running: Replicas, servers: list[SlowServer], add_tenant: Callable[[str], None]
) -> None:
    installed = running.installed
    servers[0].release()
    tenants = [f"backfilled-{number}" for number in range(3)]
    for tenant in tenants:
        add_tenant(tenant)
    working, standby = running.start_daemons(2)
    cursors = wait_for(lambda: sensor_cursors(installed), 60, "the first ticks of the sensors")

    backfill = running.start_backfill(tenants)
    wait_for(lambda: installed.instance.get_runs_count(dg.RunsFilter(tags={BACKFILL: backfill})), 60, "its first run")
    assert "this daemon works" not in standby.log.read_text()
    os.kill(working.pid, signal.SIGKILL)

    def runs() -> list[dg.DagsterRun]:  # a schedule or a sensor may have requested other runs
        return list(installed.instance.get_runs(dg.RunsFilter(tags={BACKFILL: backfill})))

    # Includes a run that the killed daemon was about to queue or send: no time-out ends such a run during the test.
    wait_for(lambda: sum(run.is_finished for run in runs()) == len(tenants), 240, "the end of all runs")
    assert sorted((run.tags[PARTITION], run.status) for run in runs()) == [(tenant, SUCCESS) for tenant in tenants]
    for run in runs():
        assert installed.await_sync_end(run.run_id) == ["sync started", "sync ended"]
    assert sensor_cursors(installed).keys() >= cursors.keys(), "the sensors go on from where the killed daemon was"


def sensor_cursors(installed: Installation) -> dict[str, str]:
    """Return the cursors of the sensors that have ticked, from Dagster's database."""
    states = installed.instance.all_instigator_state()
    cursors = {state.instigator_name: getattr(state.instigator_data, "cursor", None) for state in states}
    return {name: cursor for name, cursor in cursors.items() if cursor}


def test_a_daemon_whose_lease_another_one_has_taken_ends(running: Replicas) -> None:
    (working, *_) = running.start_daemons(1)
    wait_for(lambda: "this daemon works" in working.log.read_text(), 30, "its lease")
    installed = running.installed
    leases = RunLeases(installed.dagster_url)

    end_lease_sessions(installed)
    lease = wait_for(lambda: leases.acquire(DAEMON), 10, "the lease")
    assert lease is not None

    with lease:
        wait_for(lambda: not working.is_alive(), 20, "the end of the daemon")
    assert working.exit_code == 1
    assert "it has lost its lease" in working.log.read_text()


def end_lease_sessions(installed: Installation) -> None:
    """End the sessions with leases, as a failover of Postgres does."""
    engine = create_engine(installed.dagster_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '% lease'")
        )
    engine.dispose()


@pytest.fixture
def migrations(installed: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The migrations of a later release. At the end, the schema counts as that of this release again."""
    folder = migrations_with_a_second_revision(tmp_path / "migrations")
    yield folder
    engine = create_engine(installed.database_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {SCHEMA}.alembic_version SET version_num = '{INITIAL_REVISION}'"))
    engine.dispose()


def test_a_rolling_upgrade_loses_no_run_and_refuses_old_workers_while_new_ones_wait(
    running: Replicas,
    servers: list[SlowServer],
    add_tenant: Callable[[str, int], None],
    migrations: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = running.installed
    running.start_daemons(1)
    (old,) = (worker for worker in installed.workers if worker.is_alive())
    add_tenant("under-way", 0)
    add_tenant("queued", 1)
    under_way = launch(running, "under-way")
    installed.await_hold(under_way, servers[0])
    new = running.start_next_worker(migrations)
    waits = f"waiting for up to 600 s: the schema {SCHEMA} is at revision {INITIAL_REVISION}, this code needs"
    wait_for(lambda: waits in new.log.read_text(), 120, f"the new worker: {new.log_tail()}")
    queued = launch(running, "queued")  # the old worker has one process, and the new one takes nothing yet

    monkeypatch.setattr(database, "MIGRATIONS", migrations)
    assert database.upgrade(installed.database_url) == LATER_REVISION  # the upgrade does not wait for the sync
    assert servers[1].is_reached.wait(120), f"the new worker takes the queued run: {new.log_tail()}"
    servers[0].release()

    refused = f"the schema {SCHEMA} is at revision {LATER_REVISION}, which this code does not know: a newer"
    assert installed.await_end(under_way, 120) is FAILURE
    assert refused in running.webservers[0].api.failure_message(under_way)
    retry = installed.await_retry(under_way)  # the new worker is busy, so the old worker gets the run
    wait_for(lambda: not old.is_alive(), 120, f"the end of the old worker: {old.log_tail()}")
    # Or the ID of another run, if a schedule has requested a run.
    assert f" is left to a newer worker, and this one stops: {refused}" in old.log.read_text()
    servers[1].release()
    # A schedule may have requested the same sync: then one of the two runs is canceled as a duplicate.
    wait_for(lambda: all(run.is_finished for run in installed.runs("queued")), 120, new.log_tail())
    assert queued in {run.run_id for run in installed.runs("queued")}
    assert {run.status for run in installed.runs("queued")} - {dg.DagsterRunStatus.CANCELED} == {SUCCESS}
    assert installed.await_end(retry, 120) is SUCCESS
    assert installed.sync_entries(under_way) == ["sync started"], "what the old code had committed stays"
    assert installed.await_sync_end(retry) == ["sync started", "sync ended"]

    restarted = running.start_worker()
    wait_for(lambda: not restarted.is_alive(), 120, "the refusal of the old worker")
    assert (restarted.exit_code, refused in restarted.log.read_text()) == (1, True)


def test_no_service_keeps_anything_on_its_disk(running: Replicas) -> None:
    assert running.installed.instance.get_runs_count() > 0
    kept = {path.name for home in running.homes for path in home.rglob("*") if path.is_file()}

    assert kept == {"dagster.yaml", "workspace.yaml"}
