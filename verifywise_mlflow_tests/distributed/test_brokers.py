"""The queue in the broker has the order of Dagster's run queue. A message contains nothing but a run's ID."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from verifywise_mlflow.distributed.broker import BrokerNotConfiguredError, broker_url, make_celery
from verifywise_mlflow.distributed.daemon import finish_launches
from verifywise_mlflow.distributed.launcher import LeasedRunLauncher
from verifywise_mlflow.distributed.run_watch import END_SECONDS, Action, next_action
from verifywise_mlflow_tests.defs.production import production_instance
from verifywise_mlflow_tests.distributed import planting
from verifywise_mlflow_tests.distributed.brokers import BrokerServer, RabbitMQ, Redis

REQUESTERS = {
    "backfill": {"dagster/backfill": "b"},
    "schedule": {"dagster/schedule_name": "reconcile"},
    "sensor": {"dagster/sensor_name": "new_versions"},
    "raised backfill": {"dagster/backfill": "b", "dagster/priority": "7"},
    "person": {},
}


@pytest.fixture(
    scope="module",
    params=[pytest.param(Redis, id="Redis"), pytest.param(RabbitMQ, id="RabbitMQ", marks=pytest.mark.slow(seconds=15))],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    with request.param(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture
def broker(server: BrokerServer) -> BrokerServer:
    """The running broker, without messages. An earlier test may have stopped it."""
    if server.process is None:
        server.start()
    return server


def test_a_worker_gets_the_run_with_the_highest_priority_first_and_learns_its_id_only(broker: BrokerServer) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        launcher = LeasedRunLauncher(broker=broker.url, backend=None, default_queue="dagster")
        launcher.register_instance(instance)
        requester_of = {}
        for requester, tags in REQUESTERS.items():
            run = instance.create_run_for_job(dg.JobDefinition(name="empty", graph_def=empty), tags=tags)
            requester_of[run.run_id] = requester
            launcher.send(run)

    received = list(receive(broker.url, len(REQUESTERS)))

    assert [requester_of[arguments["run_id"]] for arguments in received] == [
        "person",
        "sensor",
        "raised backfill",
        "schedule",
        "backfill",
    ]
    assert all(arguments.keys() == {"run_id"} for arguments in received)


def test_a_daemon_finishes_what_the_last_one_has_begun(
    broker: BrokerServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with production_instance(tmp_path / "dagster", {}, in_sqlite=True) as instance:
        launcher, impatient = (
            LeasedRunLauncher(broker=broker.url, backend=None, default_queue="dagster") for _ in range(2)
        )
        launcher.register_instance(instance)
        impatient.register_instance(instance)
        of_backfill = create_run(instance, dg.DagsterRunStatus.NOT_STARTED, {"dagster/backfill": "b"})
        of_person = create_run(instance, dg.DagsterRunStatus.NOT_STARTED, {})
        starting = create_run(instance, dg.DagsterRunStatus.STARTING, {})

        finish_launches(instance, launcher)
        finish_launches(instance, instance.run_launcher)  # the launcher of a code server, which sends no messages

        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses[of_backfill.run_id] is dg.DagsterRunStatus.QUEUED
        assert statuses[of_person.run_id] is dg.DagsterRunStatus.NOT_STARTED, "a webserver is about to queue it"
        assert list(receive(broker.url, 1)) == [{"run_id": starting.run_id}]

        broker.stop()
        impatient.celery.conf.task_publish_retry_policy = {"max_retries": 0}  # the test does not wait half a minute
        finish_launches(instance, impatient)
        assert "were not repeated: OperationalError" in caplog.text
        assert broker.password not in caplog.text


def create_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str]) -> dg.DagsterRun:
    """Create a run with the origins that Dagster requires of a run that is queued."""
    location = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("localhost", 1), "repository")
    return instance.create_run_for_job(
        planting.planting,
        status=status,
        tags=tags,
        remote_job_origin=RemoteJobOrigin(location, planting.planting.name),
        job_code_origin=dg.reconstructable(planting.planting).get_python_origin(),
    )


@dg.graph
def empty() -> None:
    """Do nothing."""


def receive(url: str, count: int) -> Iterator[dict[str, str]]:
    """Consume messages one by one, as a worker with one process does."""
    with make_celery(url).connection_for_read() as connection, connection.channel() as channel:
        for _ in range(count):
            message = channel.basic_get("dagster")
            assert message is not None
            _positional, named, _callbacks = json.loads(message.body)
            message = channel.message_to_python(message)
            message.ack()
            yield named


def test_a_missing_broker_url_is_reported_with_the_variable() -> None:
    with pytest.raises(BrokerNotConfiguredError, match="set the environment variable VERIFYWISE_BROKER_URL"):
        broker_url({})


@pytest.mark.parametrize(
    ("status", "ended_seconds", "action"),
    [
        ("STARTED", 0.0, Action.CONTINUE),
        ("CANCELING", 0.0, Action.INTERRUPT),
        ("SUCCESS", 0.0, Action.CONTINUE),
        ("FAILURE", END_SECONDS - 1, Action.CONTINUE),
        ("FAILURE", END_SECONDS, Action.KILL),
        ("CANCELED", END_SECONDS, Action.KILL),
        (None, 0.0, Action.CONTINUE),  # a deleted run: its process fails by itself
    ],
)
def test_a_process_acts_on_the_status_of_its_run(status: str | None, ended_seconds: float, action: Action) -> None:
    assert next_action(status, ended_seconds) is action
