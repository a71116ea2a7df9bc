"""Requests a sync of each tenant and waits until all have ended; times a single run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import dagster as dg

from benchmarks.distributed.launchers import Running
from benchmarks.other_load import OtherLoad
from verifywise_mlflow_tests.support.proxy import Proxy

TIMEOUT_SECONDS = 1_800.0
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True, slots=True)
class LauncherFigures:
    """What one launcher took for one sync of each tenant."""

    launcher: str
    runs: int
    seconds: float
    """From the first request to the end of the last run."""
    cpu_seconds: float
    """CPU time of Dagster, the runs and the workers; without MLflow, Postgres and Redis."""
    other_cores: float
    """Cores that other work on the machine kept busy."""
    request_to_first_call: float
    """Seconds from the request of a single run to its first call to MLflow, the median of some."""
    launch_to_first_call: float
    """Of these, without the time in the run queue."""

    @property
    def runs_per_minute(self) -> float:
        """The rate."""
        return 60 * self.runs / self.seconds


def drain(launcher: str, running: Running, tenants: Sequence[str], probe: str, proxy: Proxy) -> LauncherFigures:
    """Measure one launcher.

    Raises:
        RuntimeError: a run did not succeed.
    """
    # The first runs find caches cold, and workers that are still starting.
    for tenant in tenants[:2]:
        running.dagster.api.launch(tenant)
    _await_runs(running, 2)
    load, cpu_before, began = OtherLoad(), running.cpu_seconds(), time.time()
    for tenant in tenants:
        running.dagster.api.launch(tenant)
    _await_runs(running, 2 + len(tenants))
    seconds, cpu_seconds = time.time() - began, running.cpu_seconds() - cpu_before
    other_cores = load.cores()
    waits = [_wait_for_first_call(running, probe, proxy, 3 + len(tenants) + number) for number in range(3)]
    return LauncherFigures(
        launcher,
        len(tenants),
        seconds,
        cpu_seconds,
        other_cores,
        median(request for request, _ in waits),
        median(launch for _, launch in waits),
    )


def _await_runs(running: Running, count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while running.instance.get_runs_count(dg.RunsFilter(statuses=_ENDED)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError("the runs did not end in time")
        time.sleep(0.25)
    failed = running.instance.get_runs_count(dg.RunsFilter(statuses=_ENDED[1:]))
    if failed:
        raise RuntimeError(f"{failed} runs failed")


def _wait_for_first_call(running: Running, probe: str, proxy: Proxy, count: int) -> tuple[float, float]:
    calls: list[float] = []
    proxy.before_request = lambda _exchange: calls.append(time.time())
    requested_at = time.time()
    running.dagster.api.launch(probe)
    _await_runs(running, count)
    (newest,) = running.instance.get_run_records(limit=1)
    launched_at = running.instance.get_run_stats(newest.dagster_run.run_id).launch_time
    assert launched_at is not None
    return calls[0] - requested_at, calls[0] - launched_at
