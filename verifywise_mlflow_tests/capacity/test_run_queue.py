"""The simulation's queue starts the same runs as Dagster's daemon in the product's queue."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from benchmarks.capacity.run_queue import RunQueue, SimulatedRun
from benchmarks.capacity.workload import Installation
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, PARTITION_TAG, SCHEDULE_TAG, SENSOR_TAG
from verifywise_mlflow_tests.defs.production import production_instance

TENANTS = [f"tenant-{number}" for number in range(12)]
SERVERS = {name: f"mlflow-{number // 4}.example.com:443" for number, name in enumerate(TENANTS)}
REQUESTERS: Sequence[dict[str, str]] = (
    {SENSOR_TAG: "new_versions"},
    {SCHEDULE_TAG: "reconcile"},
    {BACKFILL_TAG: "abcdefgh"},
    {},
)
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="x"), "y"),
    "sync_tenant",
)
INSTALLATION = Installation(workers=5)


@dg.op
def sync() -> None:
    """A job that never runs: the queue reads tags and names only."""


@dg.job
def sync_tenant() -> None:
    sync()


class Both:
    """The queue of the product and the queue of the simulation."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.queue = RunQueue(INSTALLATION.environment())
        self.runs: dict[str, SimulatedRun] = {}

    def submit(self, tenant: str, requester: dict[str, str]) -> None:
        tags = {PARTITION_TAG: tenant, **requester}
        run = self.instance.create_run_for_job(sync_tenant, tags=tags, remote_job_origin=ORIGIN)
        self.instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
        self.runs[run.run_id] = SimulatedRun(run.run_id, tags, 0.0)
        self.queue.submit(self.runs[run.run_id], SERVERS[tenant], [])

    def startable(self) -> list[str]:
        """Return the runs that may start, which must be the same in both queues."""
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        runs = daemon._get_runs_to_dequeue(self.instance, self.instance.get_concurrency_config(), None)
        expected = [run.run_id for run in runs]
        assert [run.run_id for run in self.queue.startable()] == expected
        return expected

    def start(self, run_id: str) -> None:
        self._report(run_id, dg.DagsterEventType.PIPELINE_STARTING)
        self.queue.start(self.runs[run_id])

    def end(self, run_id: str) -> None:
        self._report(run_id, dg.DagsterEventType.PIPELINE_START)
        self._report(run_id, dg.DagsterEventType.PIPELINE_SUCCESS)
        self.queue.end(self.runs[run_id])

    def _report(self, run_id: str, kind: dg.DagsterEventType) -> None:
        self.instance.report_dagster_event(dg.DagsterEvent(kind.value, "sync_tenant"), run_id)


@pytest.mark.parametrize("seed", [1, 2])
def test_both_queues_start_the_same_runs(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tenants.yaml"
    lines = [f"  {name}: {{tracking_uri: 'https://{server}'}}" for name, server in SERVERS.items()]
    file.write_text("\n".join(["tenants:", *lines]))
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(file))
    chance = random.Random(seed)  # no secret depends on it
    with production_instance(tmp_path / "home", INSTALLATION.environment(), in_sqlite=True) as instance:
        both, compared = Both(instance), 0
        for _ in range(8):
            for _ in range(4):
                both.submit(chance.choice(TENANTS), dict(chance.choice(REQUESTERS)))
            for run_id in both.startable():
                both.start(run_id)
                compared += 1
            for run_id in list(both.queue.started)[:2]:
                both.end(run_id)
        queued = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        assert both.queue.length == queued > 0
        assert compared >= 10
        assert both.queue.canceled > 0
