"""Dagster's queue in production: limits, order and duplicates, whoever asks. The real queue decides what is next."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from verifywise_mlflow.defs.run_queue.active_runs import (
    InFlightSyncs,
    classify_in_flight,
    raise_priority,
    runs_in_flight,
)
from verifywise_mlflow_tests.defs.production import production_instance

SENSOR = {"dagster/sensor_name": "new_versions"}
SCHEDULE = {"dagster/schedule_name": "hourly_sync"}
BACKFILL = {"dagster/backfill": "abcdefgh"}
PERSON: dict[str, str] = {}

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="x"), "y"),
    "sync_tenant",
)

LIMITS = {
    "VERIFYWISE_MAX_CONCURRENT_SYNCS": "4",
    "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS": "2",
    "VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER": "2",
}


@dg.op(config_schema=dict)
def sync() -> None:
    """Never run: the queue looks at tags, names and configuration."""


@dg.job
def sync_tenant() -> None:
    sync()


class Queue:
    """What sensors, schedules, backfills and people have of it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    def ask(self, tenant_id: str, who: dict[str, str], *, reconcile: bool = False) -> dg.DagsterRun:
        config = {"ops": {"sync": {"config": {"reconcile": reconcile}}}}
        run = self.instance.create_run_for_job(
            sync_tenant,
            run_config=config,
            tags={"dagster/partition": tenant_id, **who},
            remote_job_origin=ORIGIN,
        )
        context = SubmitRunContext(run, workspace=None)  # type: ignore[arg-type]  # the queue asks nothing of it
        return self.instance.run_coordinator.submit_run(context)

    def next(self) -> list[str]:
        """Return the tenants whose runs would be begun now, in their order."""
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        chosen = daemon._get_runs_to_dequeue(self.instance, self.instance.get_concurrency_config(), None)
        return [run.tags["dagster/partition"] for run in chosen]

    def in_flight(self) -> InFlightSyncs:
        return classify_in_flight(runs_in_flight(self.instance))

    def begin(self) -> list[str]:
        """Begin these runs."""
        tenants = self.next()
        for tenant_id in tenants:
            (run, *_) = self.of(tenant_id, dg.DagsterRunStatus.QUEUED)
            self.instance.report_dagster_event(_event("PIPELINE_STARTING"), run.run_id)
        return tenants

    def of(self, tenant_id: str, status: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        found = dg.RunsFilter(tags={"dagster/partition": tenant_id}, statuses=[status])
        return list(self.instance.get_runs(filters=found))


def _event(kind: str) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value=kind, job_name="sync_tenant", message="begun by the test")


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    path = tmp_path / "tenants.yaml"
    own = "".join(f"  own-{index}: {{tracking_uri: 'https://mlflow-{index}.example'}}\n" for index in range(10))
    shared = "".join(f"  shared-{index}: {{tracking_uri: 'https://MLFLOW.example:443/'}}\n" for index in range(4))
    path.write_text(f"tenants:\n{own}{shared}  alike: {{tracking_uri: 'https://mlflow.example'}}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    with production_instance(tmp_path / "home", LIMITS, in_sqlite=True) as instance:
        yield Queue(instance)


def test_a_backfill_leaves_places_to_the_others_and_lets_them_go_first(queue: Queue) -> None:
    for index in range(7):
        queue.ask(f"own-{index}", BACKFILL)
    assert queue.begin() == ["own-0", "own-1"]  # two of four places, though all four are free

    queue.ask("own-7", SCHEDULE)
    queue.ask("own-8", SENSOR)
    queue.ask("own-9", PERSON)

    assert queue.begin() == ["own-9", "own-8"]
    assert queue.next() == []


def test_tenants_of_one_server_wait_for_each_other_whoever_asks(queue: Queue) -> None:
    queue.ask("shared-0", PERSON)
    queue.ask("shared-1", SENSOR)
    queue.ask("shared-2", SCHEDULE)
    queue.ask("alike", BACKFILL)
    queue.ask("own-0", BACKFILL)

    assert queue.begin() == ["shared-0", "shared-1", "own-0"]
    assert queue.next() == []


def test_a_tenant_is_synced_once_at_a_time_and_waits_in_the_queue_once(queue: Queue) -> None:
    first = queue.ask("own-0", SENSOR)
    assert queue.begin() == ["own-0"]

    # The one that has begun may have read already what somebody has changed since: so one more may wait.
    waits = queue.ask("own-0", SCHEDULE)
    again = queue.ask("own-0", PERSON)
    other = queue.ask("own-0", PERSON, reconcile=True)

    assert queue.next() == []
    assert {run.run_id for run in queue.of("own-0", dg.DagsterRunStatus.QUEUED)} == {waits.run_id, other.run_id}
    assert again.status is dg.DagsterRunStatus.CANCELED
    assert [run.run_id for run in queue.of("own-0", dg.DagsterRunStatus.STARTING)] == [first.run_id]


def test_of_those_who_ask_at_once_on_threads_of_the_daemon_one_is_queued(queue: Queue) -> None:
    with ThreadPoolExecutor(4) as threads:
        asked = list(threads.map(lambda who: queue.ask("own-0", who), [SENSOR, SCHEDULE, SENSOR, SCHEDULE]))

    assert len(asked) == 4
    assert len(queue.of("own-0", dg.DagsterRunStatus.QUEUED)) == 1
    assert len(queue.of("own-0", dg.DagsterRunStatus.CANCELED)) == 3


def test_a_run_that_has_begun_since_keeps_its_tags(queue: Queue) -> None:
    run = queue.ask("own-0", BACKFILL)
    assert queue.begin() == ["own-0"]

    raise_priority(queue.instance, run.run_id, 5)

    (begun,) = queue.of("own-0", dg.DagsterRunStatus.STARTING)
    assert begun.tags["dagster/priority"] == "-10"


def test_a_backfill_keeps_its_run_and_the_one_that_waited_is_taken_out(queue: Queue) -> None:
    sensors = queue.ask("own-0", SENSOR)
    backfills = queue.ask("own-0", BACKFILL, reconcile=False)
    later = queue.ask("own-0", SENSOR)

    assert [run.run_id for run in queue.of("own-0", dg.DagsterRunStatus.QUEUED)] == [backfills.run_id]
    canceled = {run.run_id for run in queue.of("own-0", dg.DagsterRunStatus.CANCELED)}
    assert canceled == {sensors.run_id, later.run_id}


def test_whoever_waits_for_a_run_that_stays_waits_no_longer_than_for_his_own(queue: Queue) -> None:
    for index in range(3):
        queue.ask(f"own-{index}", BACKFILL)
    queue.ask("own-1", SCHEDULE)
    queue.ask("own-2", PERSON)
    assert queue.next() == ["own-2", "own-1"], "the backfill's runs, since somebody else asks for the same"

    queue.ask("own-3", SENSOR)
    queue.ask("own-3", BACKFILL)
    assert queue.next() == ["own-2", "own-3"], "a backfill that takes a run's place is no reason to wait longer"


def test_a_sensor_has_a_tenants_waiting_run_begun_sooner_and_asks_nothing_of_one_that_has_begun(queue: Queue) -> None:
    for index in range(3):
        queue.ask(f"own-{index}", BACKFILL)
    queue.ask("own-3", PERSON)
    assert queue.begin() == ["own-3", "own-0", "own-1"]
    queue.ask("own-4", SENSOR)

    seen = queue.in_flight()

    assert seen.busy == {"own-0", "own-1", "own-3", "own-4"}
    (waiting,) = queue.of("own-2", dg.DagsterRunStatus.QUEUED)
    assert seen.promotable == {"own-2": waiting.run_id}


def test_two_backfills_over_the_same_tenant_have_its_runs_one_after_the_other(queue: Queue) -> None:
    # Dagster counts a backfill as failed that lost a run, so both keep theirs; the later one finds nothing new.
    first = queue.ask("own-0", BACKFILL)
    second = queue.ask("own-0", {"dagster/backfill": "ijklmnop"})

    assert queue.begin() == ["own-0"]
    assert queue.next() == []
    (begun,) = queue.of("own-0", dg.DagsterRunStatus.STARTING)
    (waits,) = queue.of("own-0", dg.DagsterRunStatus.QUEUED)
    assert {begun.run_id, waits.run_id} == {first.run_id, second.run_id}


def test_runs_are_queued_also_while_the_tenants_file_cannot_be_read(
    queue: Queue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tenants.yaml").write_text("tenants: [")

    assert queue.ask("own-0", PERSON).status is dg.DagsterRunStatus.QUEUED
    assert "without its server" in caplog.text
