"""Requests a sync of each tenant and waits until all syncs have ended. Then measures the time of single runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import dagster as dg

from benchmarks.distributed.first_call import FirstCall, median_of, time_first_call
from benchmarks.distributed.launchers import Running
from benchmarks.other_load import OtherLoad
from verifywise_mlflow_tests.support.proxy import Proxy

TIMEOUT_SECONDS = 1_800.0
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True, slots=True)
class LauncherFigures:
    """The cost of one sync of each tenant with one launcher."""

    launcher: str
    runs: int
    seconds: float
    """The time from the first request to the end of the last run."""
    cpu_seconds: float
    """CPU time of Dagster, the runs and the workers; without MLflow, Postgres and Redis."""
    services_cpu_seconds: float
    """The part of ``cpu_seconds`` that Dagster's daemon and webserver took, which queue and launch the runs."""
    other_cores: float
    """Cores that other work on the machine kept busy."""
    first_call: FirstCall
    """The median of single runs."""

    @property
    def runs_per_minute(self) -> float:
        """The number of runs per minute."""
        return 60 * self.runs / self.seconds


def drain(
    launcher: str, running: Running, tenants: Sequence[str], probe: str, proxy: Proxy, probes: int
) -> LauncherFigures:
    """Measure one launcher.

    Args:
        launcher: its name.
        running: Dagster with this launcher.
        tenants: the tenants to sync, all at the same time.
        probe: the tenant behind ``proxy``. The times of its single runs are measured.
        proxy: records when the first request of a run arrives.
        probes: the number of single runs.

    Raises:
        RuntimeError: a run did not succeed.
    """
    # In the first runs, caches are cold and workers are still starting.
    for tenant in tenants[:2]:
        running.dagster.api.launch(tenant)
    _await_runs(running, 2)
    load, cpu_before, services_before, began = OtherLoad(), *running.cpu_seconds(), time.time()
    for tenant in tenants:
        running.dagster.api.launch(tenant)
    _await_runs(running, 2 + len(tenants))
    seconds = time.time() - began
    cpu_seconds, services_cpu_seconds = running.cpu_seconds()
    other_cores = load.cores()
    calls = []
    for number in range(probes):
        count = 3 + len(tenants) + number
        calls.append(time_first_call(running, probe, proxy, partial(_await_runs, running, count)))
    return LauncherFigures(
        launcher,
        len(tenants),
        seconds,
        cpu_seconds - cpu_before,
        services_cpu_seconds - services_before,
        other_cores,
        median_of(calls),
    )


def _await_runs(running: Running, count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while running.instance.get_runs_count(dg.RunsFilter(statuses=_ENDED)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError("the runs did not end in time")
        time.sleep(0.25)
    failed = running.instance.get_runs(dg.RunsFilter(statuses=_ENDED[1:]))
    if failed:
        reasons = "\n".join(_reason_of_failure(running.instance, run.run_id) for run in failed)
        raise RuntimeError(f"{len(failed)} runs failed:\n{reasons}")


def _reason_of_failure(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the messages of the run's last events."""
    events = [entry.dagster_event for entry in instance.all_logs(run_id) if entry.dagster_event is not None]
    texts = [f"{event.event_type_value}: {event.message}" for event in events]
    return f"{run_id}\n  " + "\n  ".join(texts[-6:])
