"""Ten thousand tenants in a real Dagster instance on Postgres: its partitions, its run queue, and whole ticks.

Nothing is polled and no run is executed. Only the costs that depend on the number of tenants and of queued runs are
measured, in Dagster and in our ticks.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.utils import make_new_run_id
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from benchmarks.capacity.measure.tenants_file import write_tenants
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.partitions import partition_keys, tenant_partitions
from verifywise_mlflow.defs.run_queue.active_runs import runs_in_flight
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, PARTITION_TAG, PRIORITY_TAG, SERVER_TAG, SYNC_JOB
from verifywise_mlflow.defs.sensors.poll_cursor import PollCursor
from verifywise_mlflow.demo.database_roles import grant_pipeline_role
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment, write_instance
from verifywise_mlflow.demo.servers.postgres import temporary_postgres

_ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="x"), "y"), SYNC_JOB
)
"""A code location, which each queued run must have. Nothing is loaded from it, since no run is launched."""

Timing = tuple[float, float]
"""Elapsed seconds, and CPU seconds of this process."""


def measure(folder: Path, tenants: int) -> Mapping[str, Timing]:
    """Return the time that each operation takes with this number of tenants."""
    file = folder / "tenants.yaml"
    names = write_tenants(file, tenants, "intervals: {poll: 365d, listing: 365d}")
    timings: dict[str, Timing] = {}

    def measure_step(name: str, act: Callable[[], object]) -> None:
        timings[name] = timed(act)
        sys.stderr.write(f"{name}: {timings[name][1]:.2f} s of CPU\n")

    with _instance(folder, file) as instance:
        partitions = tenant_partitions.name or ""
        measure_step("add all partitions", lambda: instance.add_dynamic_partitions(partitions, names))
        measure_step("read all partitions", lambda: partition_keys(instance))
        measure_step("look up one partition", lambda: instance.has_dynamic_partition(partitions, names[-1]))
        measure_step(
            "read a page of 100 partitions",
            lambda: instance.get_paginated_dynamic_partitions(partitions, limit=100, ascending=True),
        )
        measure_step("a tick of new_versions that polls nobody", lambda: _tick_sensor(instance, "new_versions"))
        requested: list[int] = []
        measure_step("a tick of reconcile", lambda: requested.append(_tick_schedule(instance, "reconcile")))
        timings["runs that it requests"] = (float(requested[0]), 0.0)
        measure_step("add a queued run of each tenant", lambda: _queue_runs(instance, names))
        measure_step("read all runs in flight", lambda: runs_in_flight(instance))
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        measure_step(
            "check the queue", lambda: daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
        )
    return timings


def timed(act: Callable[[], object]) -> Timing:
    """Return how long an action takes."""
    began, cpu = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - began, time.process_time() - cpu


@contextmanager
def _instance(folder: Path, tenants_file: Path) -> Iterator[dg.DagsterInstance]:
    home = folder / "dagster"
    home.mkdir()
    with temporary_postgres(["verifywise_mlflow", "dagster"]) as postgres:
        environment = instance_environment(postgres, grant_pipeline_role(postgres), tenants_file)
        write_instance(home)
        with (
            mock.patch.dict(os.environ, environment | {"DAGSTER_HOME": str(home)}),
            dg.DagsterInstance.from_config(str(home)) as instance,
        ):
            yield instance


def _tick_sensor(instance: dg.DagsterInstance, name: str) -> None:
    repository = defs.get_repository_def()
    cursor = PollCursor(ticked_at=datetime.now(UTC)).to_json() if name == "new_versions" else None
    with (
        partition_loading_context(dynamic_partitions_store=instance),
        dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository) as context,
    ):
        repository.get_sensor_def(name).evaluate_tick(context)


def _tick_schedule(instance: dg.DagsterInstance, name: str) -> int:
    repository = defs.get_repository_def()
    context = dg.build_schedule_context(instance, datetime.now(UTC), repository_def=repository)
    with partition_loading_context(dynamic_partitions_store=instance), context:
        return len(repository.get_schedule_def(name).evaluate_tick(context).run_requests or [])


def _queue_runs(instance: dg.DagsterInstance, names: list[str]) -> None:
    """Queue a run of each tenant, as a backfill does. The coordinator is bypassed, since it needs a daemon."""
    assets = frozenset(dg.AssetKey(stage.value) for stage in Stage)
    for number, name in enumerate(names):
        tags = {
            PARTITION_TAG: name,
            BACKFILL_TAG: "abcdefgh",
            PRIORITY_TAG: "-10",
            SERVER_TAG: f"mlflow-{number // 20:03}.example.com:443",
        }
        instance.run_storage.add_run(
            dg.DagsterRun(
                job_name=SYNC_JOB,
                run_id=make_new_run_id(),
                status=dg.DagsterRunStatus.QUEUED,
                tags=tags,
                asset_selection=assets,
                remote_job_origin=_ORIGIN,
            )
        )
