"""Runs on workers end as on one machine, even if workers die, brokers restart and networks are partitioned."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.run_leases import HEARTBEAT_SECONDS
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.distributed import planting
from verifywise_mlflow_tests.distributed.brokers import Redis
from verifywise_mlflow_tests.distributed.installation import Installation, installation, wait_for
from verifywise_mlflow_tests.distributed.slow_server import SlowServer, slow_server
from verifywise_mlflow_tests.pipeline.database_snapshot import differences
from verifywise_mlflow_tests.support.databases import create_migrated_database
from verifywise_mlflow_tests.support.planted_secrets import Canaries, all_below, all_of_a_database, leaked_canaries
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync

pytestmark = [pytest.mark.slow(seconds=120), pytest.mark.timeout(600)]

SUCCESS, FAILURE, CANCELED = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED
DETECTION_SECONDS = 60


@pytest.fixture(scope="module")
def installed(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home = tmp_path_factory.mktemp("distributed")
    with installation(postgres, Redis(home / "redis"), home) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed_url(postgres: EmbeddedPostgres) -> str:
    """A database into which each tenant is synced once, without workers."""
    return create_migrated_database(postgres, "undisturbed")


@pytest.fixture
def server(mlflow_uri: str) -> Iterator[SlowServer]:
    with slow_server(mlflow_uri) as slow:
        yield slow


@pytest.fixture
def add_tenant(
    installed: Installation, server: SlowServer, registry: Registry, workspace: str, undisturbed_url: str
) -> Callable[[str], None]:
    def add(tenant: str) -> None:
        registry.version("churn", tags={"owner": "ada"})
        registry.version("fraud")
        installed.add_tenant(tenant, server.tenant_settings(workspace))

    return add


def assert_equals_an_undisturbed_sync(installed: Installation, url: str, tenant: str) -> None:
    with Store(url) as store:
        sync(load_tenants(installed.tenants_file)[tenant], store)

    # Only the workers' database has a role for workers. The trails in this database show the role.
    different_rows = differences(installed.database_url, url)
    entries, missing_entries = different_rows.pop("audit_trail")
    assert ({json.loads(entry)["kind"] for entry in entries}, missing_entries) == ({"access granted"}, [])
    assert {*different_rows} == {"role_grants"}, different_rows


def test_a_run_of_a_killed_worker_is_retried_once_and_leaves_the_same_rows(
    installed: Installation, server: SlowServer, add_tenant: Callable[[str], None], undisturbed_url: str
) -> None:
    installed.run_workers(1)
    add_tenant("killed")
    run_id = installed.launch("killed")
    installed.await_hold(run_id, server)

    installed.kill_workers()
    killed_at = time.monotonic()
    server.release()

    assert installed.await_end(run_id, DETECTION_SECONDS) is FAILURE
    assert time.monotonic() - killed_at < DETECTION_SECONDS
    installed.run_workers(2)
    assert installed.await_end(installed.await_retry(run_id)) is SUCCESS
    assert len(installed.runs("killed")) == 2
    assert_equals_an_undisturbed_sync(installed, undisturbed_url, "killed")


def test_a_run_whose_worker_is_cut_off_from_postgres_ends_there_and_is_retried_elsewhere(
    installed: Installation, server: SlowServer, add_tenant: Callable[[str], None], undisturbed_url: str
) -> None:
    installed.run_workers(2)
    add_tenant("partitioned")
    run_id = installed.launch("partitioned")
    installed.await_hold(run_id, server)
    before = installed.run_processes()
    cut_off = max(before, key=lambda worker: len(before[worker]))  # the other worker is idle

    installed.networks[cut_off].partition()
    cut_at = time.monotonic()
    # The MLflow server still holds the request, so only the lease can end the process.
    assert installed.await_end(run_id, DETECTION_SECONDS) is FAILURE
    assert time.monotonic() - cut_at < DETECTION_SECONDS
    left = 1  # the process of the pool
    wait_for(lambda: len(before[cut_off] & installed.run_processes()[cut_off]) == left, 60, "the end of the processes")
    server.release()

    # The worker that is cut off may also get the retry. It then leaves it to the other worker. Postgres still has the
    # connections that lost their bytes, and one of them had the tenant's lock.
    assert installed.await_end(installed.await_retry(run_id)) is SUCCESS
    installed.networks[cut_off].heal()
    assert_equals_an_undisturbed_sync(installed, undisturbed_url, "partitioned")


def test_a_worker_that_reaches_the_broker_but_not_postgres_leaves_its_runs_to_others(
    installed: Installation, server: SlowServer, add_tenant: Callable[[str], None]
) -> None:
    installed.kill_workers()
    cut_off = installed.start_worker()  # the only worker, so it takes the run
    add_tenant("left")
    server.release()
    assert installed.await_end(installed.launch("left")) is SUCCESS  # the worker's connections are in use

    installed.networks[cut_off.pid].partition()
    run_id = installed.launch("left")
    wait_for(lambda: f"run {run_id} is left to another worker" in cut_off.log.read_text(), 120, cut_off.log_tail())
    installed.start_worker()

    assert installed.await_end(run_id) is SUCCESS
    assert installed.await_sync_end(run_id) == ["sync started", "sync ended"]
    installed.networks[cut_off.pid].heal()


def test_a_person_cancels_a_run_and_its_sync_ends_in_order(
    installed: Installation, server: SlowServer, add_tenant: Callable[[str], None]
) -> None:
    installed.run_workers(2)
    add_tenant("canceled")
    run_id = installed.launch("canceled")
    installed.await_hold(run_id, server)

    installed.api.cancel([run_id])
    assert installed.status(run_id) is dg.DagsterRunStatus.CANCELING
    time.sleep(5 * HEARTBEAT_SECONDS)  # on a busy machine, a heartbeat comes late
    server.release()  # a thread of the run waits for the response, as it does under every launcher

    assert installed.await_end(run_id) is CANCELED
    assert installed.await_sync_end(run_id) == ["sync started", "sync ended"]


def test_a_broker_restart_and_a_repeated_message_neither_lose_nor_repeat_a_sync(
    installed: Installation, server: SlowServer, add_tenant: Callable[[str], None]
) -> None:
    installed.run_workers(2)
    add_tenant("restarted")
    run_id = installed.launch("restarted")
    installed.await_hold(run_id, server)

    installed.broker.stop()
    installed.broker.start()
    # The other worker is idle, and gets the message of the run that is under way.
    send_again(installed, run_id)
    wait_for(
        lambda: "another worker has its lease" in installed.log_tails(), 180, "the refusal of the repeated message"
    )
    server.release()

    assert installed.await_end(run_id) is SUCCESS
    send_again(installed, run_id)
    wait_for(lambda: "it is SUCCESS" in installed.log_tails(), 180, "the refusal of the late message")
    assert installed.await_sync_end(run_id) == ["sync started", "sync ended"]
    assert installed.await_end(installed.launch("restarted")) is SUCCESS


def send_again(installed: Installation, run_id: str) -> None:
    """Deliver a run's message again, as a broker does after a lost acknowledgment."""
    run = installed.instance.get_run_by_id(run_id)
    assert run is not None
    launcher = installed.instance.run_launcher
    launcher.send(run)  # type: ignore[attr-defined]  # of our launcher


def test_no_secret_of_a_run_is_left_in_the_process_of_a_later_one(installed: Installation) -> None:
    installed.run_workers(2)
    tags = [plant(installed) for _ in range(4)]  # two runs for each worker

    assert len({run[planting.PROCESS] for run in tags}) == 4
    assert all(int(run[planting.FOUND_AFTER]) > 0 for run in tags), "the search finds what is there"
    assert [run[planting.FOUND_BEFORE] for run in tags] == ["0"] * 4


def plant(installed: Installation) -> dict[str, str]:
    run_id = installed.launch_job(planting.planting)
    assert installed.await_end(run_id) is SUCCESS
    ended = installed.instance.get_run_by_id(run_id)
    assert ended is not None
    return dict(ended.tags)


def test_the_broker_s_password_is_in_no_file_no_log_no_table_and_no_command_line(installed: Installation) -> None:
    installed.run_workers(1)
    canaries = Canaries({"broker": installed.broker.password})
    assert installed.dagster is not None
    command_lines = [
        Path(f"/proc/{child.pid}/cmdline").read_bytes()
        for child in [*installed.dagster.children, *installed.workers]
        if child.is_alive()
    ]
    assert any(b"distributed.worker" in line for line in command_lines)

    for directory in (installed.home / "dagster", installed.logs):
        assert leaked_canaries(canaries, all_below(directory)) == set()
    for url in (installed.dagster_url, installed.database_url):
        assert leaked_canaries(canaries, all_of_a_database(url)) == set()
    assert leaked_canaries(canaries, command_lines) == set()
    assert leaked_canaries(canaries, all_below(installed.broker.home)) == {"broker"}, "the search finds what is there"
