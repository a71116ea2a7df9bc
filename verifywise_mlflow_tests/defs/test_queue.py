"""The run queue in production: limits, priorities and deduplication, decided by Dagster's real queue daemon."""

from __future__ import annotations

import time
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
    hint_followers,
    raise_priority,
    runs_in_flight,
    tenants_in_flight,
)
from verifywise_mlflow.defs.run_queue.authenticated_user import USER_HEADER_VARIABLE
from verifywise_mlflow.defs.run_queue.priorities import TARGETED_PRIORITY
from verifywise_mlflow.defs.run_tags import USER_TAG
from verifywise_mlflow_tests.defs.production import production_instance

SENSOR = {"dagster/sensor_name": "new_versions"}
SCHEDULE = {"dagster/schedule_name": "reconcile"}
BACKFILL = {"dagster/backfill": "abcdefgh"}
MANUAL: dict[str, str] = {}

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="x"), "y"),
    "sync_tenant",
)

LIMITS = {
    "VERIFYWISE_MAX_CONCURRENT_SYNCS": "4",
    "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS": "2",
    "VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER": "2",
    "VERIFYWISE_MAX_CONCURRENT_SLOW_SYNCS": "1",
}


@dg.op(config_schema=dict)
def sync() -> None:
    """A job that never runs: the queue reads tags, names and configuration only."""


@dg.job
def sync_tenant() -> None:
    sync()


@dg.job(tags={"dagster/priority": str(TARGETED_PRIORITY)})
def targeted_sync() -> None:
    sync()


@dg.job
def deliver_tenant() -> None:
    sync()


class Queue:
    """The queue of an instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance

    def submit(
        self,
        tenant_id: str,
        requester: dict[str, str],
        *,
        reconcile: bool = False,
        job: dg.JobDefinition = sync_tenant,
    ) -> dg.DagsterRun:
        config = {"ops": {"sync": {"config": {"reconcile": reconcile}}}}
        run = self.instance.create_run_for_job(
            job,
            run_config=config,
            tags={**job.run_tags, "dagster/partition": tenant_id, **requester},  # as Dagster merges them
            remote_job_origin=ORIGIN,
        )
        context = SubmitRunContext(run, workspace=None)  # type: ignore[arg-type]  # the queue does not use it
        return self.instance.run_coordinator.submit_run(context)

    def startable(self) -> list[str]:
        """Return the tenants whose runs Dagster would start now, in order."""
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        runs = daemon._get_runs_to_dequeue(self.instance, self.instance.get_concurrency_config(), None)
        return [run.tags["dagster/partition"] for run in runs]

    def finish(
        self, tenant_id: str, *, seconds: float, is_success: bool = True, job: dg.JobDefinition = sync_tenant
    ) -> None:
        """Submit a run of the tenant and let it end after this time."""
        run = self.submit(tenant_id, MANUAL, job=job)
        began = time.time() - 10_000
        ending = "PIPELINE_SUCCESS" if is_success else "PIPELINE_FAILURE"
        for kind, timestamp in (("PIPELINE_STARTING", began), ("PIPELINE_START", began), (ending, began + seconds)):
            self.instance.report_dagster_event(_event(kind), run.run_id, timestamp=timestamp)

    def in_flight(self) -> InFlightSyncs:
        return classify_in_flight(runs_in_flight(self.instance))

    def start(self) -> list[str]:
        """Mark the runs that Dagster would start now as starting; return their tenants."""
        tenants = self.startable()
        for tenant_id in tenants:
            (run, *_) = self.runs(tenant_id, dg.DagsterRunStatus.QUEUED)
            self.instance.report_dagster_event(_event("PIPELINE_STARTING"), run.run_id)
        return tenants

    def runs(self, tenant_id: str, status: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        filters = dg.RunsFilter(tags={"dagster/partition": tenant_id}, statuses=[status])
        return list(self.instance.get_runs(filters=filters))


def _event(kind: str) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value=kind, job_name="sync_tenant", message="started by the test")


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    path = tmp_path / "tenants.yaml"
    own = "".join(f"  own-{index}: {{tracking_uri: 'https://mlflow-{index}.example'}}\n" for index in range(10))
    shared = "".join(f"  shared-{index}: {{tracking_uri: 'https://MLFLOW.example:443/'}}\n" for index in range(4))
    path.write_text(f"tenants:\n{own}{shared}  alike: {{tracking_uri: 'https://mlflow.example'}}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    with production_instance(tmp_path / "home", LIMITS, in_sqlite=True) as instance:
        yield Queue(instance)


def test_a_backfill_leaves_slots_to_other_requests_and_has_the_lowest_priority(queue: Queue) -> None:
    for index in range(7):
        queue.submit(f"own-{index}", BACKFILL)
    assert queue.start() == ["own-0", "own-1"]  # two of four slots, although all four are free

    queue.submit("own-7", SCHEDULE)
    queue.submit("own-8", SENSOR)
    queue.submit("own-9", MANUAL)

    assert queue.start() == ["own-9", "own-8"]
    assert queue.startable() == []


def test_a_user_whom_only_the_tags_name_is_not_authenticated(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon submits backfills and retries without a request, with tags that anybody may have set."""
    monkeypatch.setenv(USER_HEADER_VARIABLE, "X-Forwarded-User")

    run = queue.submit("own-0", {USER_TAG: "mallory", **BACKFILL})

    assert run.tags[USER_TAG] == ""


def test_tenants_of_one_server_share_its_limit_whatever_requested_the_sync(queue: Queue) -> None:
    queue.submit("shared-0", MANUAL)
    queue.submit("shared-1", SENSOR)
    queue.submit("shared-2", SCHEDULE)
    queue.submit("alike", BACKFILL)
    queue.submit("own-0", BACKFILL)

    assert queue.start() == ["shared-0", "shared-1", "own-0"]
    assert queue.startable() == []


def test_a_delivery_and_a_sync_of_a_tenant_do_not_wait_for_each_other(queue: Queue) -> None:
    for index in range(4):
        queue.submit(f"own-{index}", SENSOR)
    for index in range(4):
        queue.submit(f"own-{index}", SENSOR, job=deliver_tenant)

    started = queue.start()

    assert sorted(started) == ["own-0", "own-0", "own-1", "own-1", "own-2", "own-3"]  # four syncs, two deliveries
    assert queue.in_flight().busy == {"own-0", "own-1", "own-2", "own-3"}


def test_slow_tenants_never_take_all_slots(queue: Queue) -> None:
    for index in range(3):
        queue.finish(f"own-{index}", seconds=600, is_success=index > 0)
    for index in range(3, 6):
        queue.finish(f"own-{index}", seconds=5)

    for index in range(6):
        queue.submit(f"own-{index}", SENSOR)

    assert queue.start() == ["own-0", "own-3", "own-4", "own-5"], "one slow tenant in one of four slots"
    assert queue.startable() == []


def test_a_tenant_stays_slow_for_three_runs(queue: Queue) -> None:
    queue.finish("own-0", seconds=600)
    tags = []
    for _ in range(4):
        tags.append(queue.submit("own-0", MANUAL).run_id)
        queue.instance.report_run_canceled(queue.runs("own-0", dg.DagsterRunStatus.QUEUED)[0])
        queue.finish("own-0", seconds=5)

    runs = [queue.instance.get_run_by_id(run_id) for run_id in tags]
    assert [run.tags.get("verifywise/speed") for run in runs if run] == ["slow", "slow", "slow", None]


def test_a_tenant_has_one_running_sync_and_one_queued_sync_of_each_kind(queue: Queue) -> None:
    first = queue.submit("own-0", SENSOR)
    assert queue.start() == ["own-0"]

    # The running sync may already have read what has changed since, so one more may be queued.
    queued = queue.submit("own-0", SCHEDULE)
    duplicate = queue.submit("own-0", MANUAL)
    other_config = queue.submit("own-0", MANUAL, reconcile=True)

    assert queue.startable() == []
    queued_ids = {run.run_id for run in queue.runs("own-0", dg.DagsterRunStatus.QUEUED)}
    assert queued_ids == {queued.run_id, other_config.run_id}
    assert duplicate.status is dg.DagsterRunStatus.CANCELED
    assert [run.run_id for run in queue.runs("own-0", dg.DagsterRunStatus.STARTING)] == [first.run_id]


def test_concurrent_submissions_for_one_tenant_are_deduplicated(queue: Queue) -> None:
    with ThreadPoolExecutor(4) as threads:
        requesters = [SENSOR, SCHEDULE, SENSOR, SCHEDULE]
        runs = list(threads.map(lambda requester: queue.submit("own-0", requester), requesters))

    assert len(runs) == 4
    assert len(queue.runs("own-0", dg.DagsterRunStatus.QUEUED)) == 1
    assert len(queue.runs("own-0", dg.DagsterRunStatus.CANCELED)) == 3


def test_the_priority_of_a_run_that_has_started_is_not_changed(queue: Queue) -> None:
    run = queue.submit("own-0", BACKFILL)
    assert queue.start() == ["own-0"]

    raise_priority(queue.instance, run.run_id, 5)

    (started_run,) = queue.runs("own-0", dg.DagsterRunStatus.STARTING)
    assert started_run.tags["dagster/priority"] == "-10"


def test_a_backfill_keeps_its_run_and_the_duplicate_in_the_queue_is_canceled(queue: Queue) -> None:
    sensor_run = queue.submit("own-0", SENSOR)
    backfill_run = queue.submit("own-0", BACKFILL, reconcile=False)
    later = queue.submit("own-0", SENSOR)

    assert [run.run_id for run in queue.runs("own-0", dg.DagsterRunStatus.QUEUED)] == [backfill_run.run_id]
    canceled = {run.run_id for run in queue.runs("own-0", dg.DagsterRunStatus.CANCELED)}
    assert canceled == {sensor_run.run_id, later.run_id}


def test_the_surviving_run_keeps_the_higher_priority_of_the_two(queue: Queue) -> None:
    for index in range(3):
        queue.submit(f"own-{index}", BACKFILL)
    queue.submit("own-1", SCHEDULE)
    queue.submit("own-2", MANUAL)
    assert queue.startable() == ["own-2", "own-1"], "the runs of the backfill, at the priority of the duplicates"

    queue.submit("own-3", SENSOR)
    queue.submit("own-3", BACKFILL)
    assert queue.startable() == ["own-2", "own-3"], "a backfill's run takes over the priority of the run it replaces"


def test_a_sensor_can_promote_a_queued_backfill_run_but_not_one_that_has_started(queue: Queue) -> None:
    for index in range(3):
        queue.submit(f"own-{index}", BACKFILL)
    queue.submit("own-3", MANUAL)
    assert queue.start() == ["own-3", "own-0", "own-1"]
    queue.submit("own-4", SENSOR)

    in_flight = queue.in_flight()

    assert in_flight.busy == {"own-0", "own-1", "own-3", "own-4"}
    (queued,) = queue.runs("own-2", dg.DagsterRunStatus.QUEUED)
    assert in_flight.promotable == {"own-2": queued.run_id}


def test_two_backfills_over_the_same_tenant_both_keep_their_runs(queue: Queue) -> None:
    # Dagster counts a backfill that lost a run as failed, so both stay; the later one finds nothing new.
    first = queue.submit("own-0", BACKFILL)
    second = queue.submit("own-0", {"dagster/backfill": "ijklmnop"})

    assert queue.start() == ["own-0"]
    assert queue.startable() == []
    (started_run,) = queue.runs("own-0", dg.DagsterRunStatus.STARTING)
    (queued,) = queue.runs("own-0", dg.DagsterRunStatus.QUEUED)
    assert {started_run.run_id, queued.run_id} == {first.run_id, second.run_id}


def test_runs_are_queued_even_while_tenants_yaml_cannot_be_read(
    queue: Queue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tenants.yaml").write_text("tenants: [")

    assert queue.submit("own-0", MANUAL).status is dg.DagsterRunStatus.QUEUED
    assert "without its server tag" in caplog.text


CHANGES = {"dagster/sensor_name": "mlflow_changes"}


def test_a_targeted_sync_starts_before_what_sensors_request_and_after_people(queue: Queue) -> None:
    queue.submit("shared-0", SENSOR)
    queue.submit("shared-1", CHANGES, job=targeted_sync)
    queue.submit("shared-2", MANUAL)

    assert queue.startable() == ["shared-2", "shared-1"], "the server's limit holds for it, too"


def test_a_tenant_has_one_queued_targeted_sync_unless_a_sync_of_its_registry_starts_as_soon(queue: Queue) -> None:
    waiting = queue.submit("own-0", SENSOR)
    targeted = queue.submit("own-0", CHANGES, job=targeted_sync)
    duplicate = queue.submit("own-0", CHANGES, job=targeted_sync)
    queue.submit("own-1", MANUAL)
    covered = queue.submit("own-1", CHANGES, job=targeted_sync)

    assert {run.run_id for run in queue.runs("own-0", dg.DagsterRunStatus.QUEUED)} == {waiting.run_id, targeted.run_id}
    assert (duplicate.status, covered.status) == (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELED)


def test_a_targeted_sync_is_no_sync_of_the_registry_for_those_who_wait_for_one(queue: Queue) -> None:
    queue.submit("own-0", CHANGES, job=targeted_sync)
    queue.submit("own-1", CHANGES, job=targeted_sync)
    assert queue.start() == ["own-0", "own-1"]
    queue.submit("own-2", CHANGES, job=targeted_sync)

    assert queue.in_flight() == InFlightSyncs(frozenset(), {})
    assert tenants_in_flight(queue.instance) == set()


def test_a_sync_that_has_not_started_will_follow_the_hints_of_now(queue: Queue) -> None:
    queue.submit("own-0", CHANGES, job=targeted_sync)
    assert queue.start() == ["own-0"]
    queue.submit("own-1", CHANGES, job=targeted_sync)
    queue.submit("own-2", MANUAL)
    queue.submit("own-3", SCHEDULE)  # it starts later than a targeted sync would
    started = queue.submit("own-4", CHANGES, job=targeted_sync)
    queue.instance.report_dagster_event(_event("PIPELINE_START"), started.run_id)
    failed = queue.submit("own-5", CHANGES, job=targeted_sync)
    queue.instance.report_dagster_event(_event("PIPELINE_FAILURE"), failed.run_id)

    followers = hint_followers(queue.instance, ["own-5", "own-6"], [])

    assert followers.waiting == {"own-0", "own-1", "own-2"}
    assert followers.running == {"own-4"}
    assert followers.failed == {"own-5"}


def test_many_short_targeted_syncs_do_not_hide_that_a_tenant_is_slow(queue: Queue) -> None:
    queue.finish("own-0", seconds=600)
    for _ in range(4):
        queue.finish("own-0", seconds=1, job=targeted_sync)

    run = queue.submit("own-0", SENSOR)

    tagged = queue.instance.get_run_by_id(run.run_id)
    assert tagged is not None
    assert tagged.tags["verifywise/speed"] == "slow"
