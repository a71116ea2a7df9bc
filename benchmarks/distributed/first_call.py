"""Measures the time of a single run from its request to its first call to MLflow, and the parts of this time.

The times come from Dagster's event log and from the proxy in front of MLflow. They are all from one machine's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from statistics import median

import dagster as dg

from benchmarks.distributed.launchers import Running
from verifywise_mlflow_tests.support.proxy import Proxy

_STARTED_PROCESS = "Started process for run"
"""The message with which Dagster reports that a process executes the run."""


@dataclass(frozen=True, slots=True)
class FirstCall:
    """Seconds between one event of a run and the next."""

    request_to_queue: float
    """From just before the request to the webserver until the run is in the queue."""
    queue: float
    """From then until the daemon takes the run from the queue and hands it to the launcher."""
    launch_to_process: float
    """From then until a process has the run: through the code server, or through the broker and a worker."""
    process_to_start: float
    """From then until Dagster has loaded the job and starts the run."""
    start_to_step: float
    """From then until Dagster has initialized the resources and starts the first step."""
    step_to_call: float
    """From then until MLflow's server receives the first request of the sync."""

    @property
    def after_launch(self) -> float:
        """The launcher's part: everything except the webserver and the queue."""
        return self.launch_to_process + self.process_to_start + self.start_to_step + self.step_to_call

    @property
    def in_all(self) -> float:
        """The whole time."""
        return self.request_to_queue + self.queue + self.after_launch


def median_of(calls: Sequence[FirstCall]) -> FirstCall:
    """Return the median of each part."""
    return FirstCall(*(median(part) for part in zip(*map(astuple, calls), strict=True)))


def parts() -> list[str]:
    """Return the names of the parts, in their order."""
    return [field.name.replace("_", " ") for field in fields(FirstCall)]


def time_first_call(running: Running, tenant: str, proxy: Proxy, await_end: Callable[[], None]) -> FirstCall:
    """Request a run and measure its times. Nothing else may run at the same time."""
    calls: list[float] = []
    proxy.before_request = lambda _exchange: calls.append(time.time())
    requested_at = time.time()
    running.dagster.api.launch(tenant)
    await_end()
    (newest,) = running.instance.get_run_records(limit=1)
    return first_call(requested_at, running.instance.all_logs(newest.dagster_run.run_id), calls[0])


def first_call(requested_at: float, log: Sequence[dg.EventLogEntry], called_at: float) -> FirstCall:
    """Return the parts, from the log of a run and from the times of the request and of the first call."""
    times = [
        requested_at,
        _time_of(log, dg.DagsterEventType.RUN_ENQUEUED),
        _time_of(log, dg.DagsterEventType.RUN_STARTING),
        next(entry.timestamp for entry in log if entry.message.startswith(_STARTED_PROCESS)),
        _time_of(log, dg.DagsterEventType.RUN_START),
        _time_of(log, dg.DagsterEventType.STEP_START),
        called_at,
    ]
    return FirstCall(*(after - before for before, after in pairwise(times)))


def _time_of(log: Sequence[dg.EventLogEntry], kind: dg.DagsterEventType) -> float:
    return next(entry.timestamp for entry in log if entry.dagster_event_type == kind)
