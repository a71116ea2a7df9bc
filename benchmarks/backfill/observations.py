"""Figures of a drained backfill, derived from Dagster's own records."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

import dagster as dg
from dagster._core.scheduler.instigation import TickStatus

from benchmarks.backfill.execution import DrainRecord
from benchmarks.backfill.installation import Installation
from benchmarks.other_load import MAX_OTHER_CORES
from verifywise_mlflow.defs.run_queue.priorities import SENSOR_PRIORITY, effective_priority
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, PARTITION_TAG, SCHEDULE_TAG, SENSOR_TAG

MAX_TICK_GAP = 3.0
"""The limit on the time between ticks, as a multiple of a sensor's interval. On a busy machine, the daemon evaluates
sensors some seconds late."""

MAX_SENSOR_WAIT_SECONDS = 60.0
EVEN_RATE = 0.75
"""The minimum rate of the slowest fifth of a backfill, relative to the fastest fifth."""
MIN_TENANTS_FOR_RATES = 100
"""The minimum number of tenants for this check. In a smaller backfill, a fifth ends before all slots are in use."""

_REQUESTER_BY_TAG = {BACKFILL_TAG: "backfill", SENSOR_TAG: "sensor", SCHEDULE_TAG: "schedule"}

Spread = tuple[float, float]
"""A median and a maximum, in seconds."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run in Dagster's records. Times in seconds since 1970."""

    tenant: str
    requested_by: str
    status: str
    requested_at: float
    started_at: float | None
    """When the process started the run."""
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Ticks:
    """The outcomes of a sensor's ticks."""

    interval: float
    count: int
    failed: int
    longest_gap: float


@dataclass(frozen=True, slots=True)
class BackfillFigures:
    """The figures."""

    tenants: int
    succeeded: int
    backfill_status: str
    seconds: float
    """Seconds from the launch to the end of the last run."""
    queued_after_seconds: float
    """Seconds until the backfill's last run was queued."""
    runs_per_minute: Sequence[float]
    """The rate for each fifth of the backfill's runs, in the order in which the runs ended."""
    other_cores: Sequence[float]
    """For each of these fifths, the mean number of cores that other processes kept busy."""
    wait_times: Mapping[str, Spread]
    """The times from the request to the start of the run, by requester."""
    runs: Mapping[str, int]
    """The number of runs by requester and outcome."""
    promoted: int
    """Runs of the backfill whose priority a sensor raised, since their tenant had changed."""
    read_delay: Spread | None
    """The times from a new version to its verdict in the store, including the sensor's interval."""
    changed: int
    unread: int
    ticks: Mapping[str, Ticks]
    peak_megabytes: Mapping[str, float]
    cpu_seconds: Mapping[str, float]
    overlapping: int
    """Runs of a tenant that started before another run of the same tenant had ended."""

    def problems(self) -> Iterator[str]:
        """Yield a sentence for each violation."""
        if self.succeeded != self.tenants:
            yield f"{self.succeeded} of {self.tenants} runs of the backfill succeeded"
        if self.backfill_status != "COMPLETED_SUCCESS":
            yield f"the backfill is {self.backfill_status}"
        for status, count in self.runs.items():
            if status.endswith("FAILURE"):
                yield f"{count} x {status}, tried again or not"
        waited = self.wait_times.get("sensor", (0.0, 0.0))[1]
        if waited > MAX_SENSOR_WAIT_SECONDS:
            yield f"a sensor's run waited {waited:.0f} s, more than {MAX_SENSOR_WAIT_SECONDS:.0f} s"
        slowest, fastest = min(self.runs_per_minute, default=0.0), max(self.runs_per_minute, default=0.0)
        if self.tenants >= MIN_TENANTS_FOR_RATES and slowest < EVEN_RATE * fastest:
            yield f"the rate is uneven: {slowest:.1f} to {fastest:.1f} runs a minute"
        if max(self.other_cores, default=0.0) > MAX_OTHER_CORES:
            yield "other processes disturbed it: measure it again alone on the machine"
        if self.overlapping:
            yield f"{self.overlapping} runs began while another of their tenant was under way"
        if self.unread:
            yield f"{self.unread} of {self.changed} changes were not read"
        for name, ticks in self.ticks.items():
            if ticks.failed:
                yield f"{ticks.failed} ticks of {name} failed"
            if ticks.longest_gap > MAX_TICK_GAP * ticks.interval:
                yield f"{ticks.longest_gap:.0f} s passed between two ticks of {name}"


def collect_figures(installed: Installation, drain_record: DrainRecord) -> BackfillFigures:
    """Read the figures from Dagster's records."""
    since = datetime.fromtimestamp(drain_record.launched_at - 1, UTC)
    records = installed.instance.get_run_records(dg.RunsFilter(created_after=since))
    runs = [_run(record) for record in records]
    backfill_runs = [run for run in runs if run.requested_by == "backfill"]
    ends = sorted(run.ended_at for run in backfill_runs if run.ended_at and run.status == "SUCCESS")
    # A tenant whose run was retried has several runs: the first request counts.
    first_requests = [
        min(run.requested_at for run in same_tenant_runs) for same_tenant_runs in _by_tenant(backfill_runs).values()
    ]
    waited: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        if run.started_at is not None:
            waited[run.requested_by].append(run.started_at - run.requested_at)
    delays = [change.judged_at - change.at for change in drain_record.changes if change.judged_at is not None]
    backfill = installed.instance.get_backfill(drain_record.backfill)
    return BackfillFigures(
        tenants=len(installed.servers),
        succeeded=len(ends),
        backfill_status=backfill.status.value if backfill else "not known to Dagster",
        seconds=(ends[-1] if ends else drain_record.launched_at) - drain_record.launched_at,
        queued_after_seconds=max(first_requests, default=drain_record.launched_at) - drain_record.launched_at,
        runs_per_minute=runs_per_minute(drain_record.launched_at, ends),
        other_cores=other_cores(drain_record.launched_at, ends, drain_record.other_cpu_seconds),
        wait_times={requester: (median(waits), max(waits)) for requester, waits in waited.items()},
        runs=dict(Counter(f"{run.requested_by} {run.status}" for run in runs)),
        promoted=sum(
            BACKFILL_TAG in tags and effective_priority(tags) >= SENSOR_PRIORITY
            for tags in (record.dagster_run.tags for record in records)
        ),
        read_delay=(median(delays), max(delays)) if delays else None,
        changed=len(drain_record.changes),
        unread=len(drain_record.changes) - len(delays),
        ticks=_ticks(installed.instance, drain_record.launched_at, drain_record.left_at),
        peak_megabytes={name: peak_bytes / 1e6 for name, peak_bytes in drain_record.peak_bytes.items()},
        cpu_seconds=drain_record.cpu_seconds,
        overlapping=sum(overlaps(tenant_runs) for tenant_runs in _by_tenant(runs).values()),
    )


def runs_per_minute(began: float, ends: Sequence[float]) -> list[float]:
    """Return the rate at which runs ended, in runs per minute, for each fifth of the runs."""
    bounds, at = _fifths(began, ends)
    return [
        60 * (last - first) / max(until - since, 1e-9)
        for (first, last), (since, until) in zip(pairwise(bounds), pairwise(at), strict=True)
        if last > first
    ]


def other_cores(began: float, ends: Sequence[float], samples: Sequence[tuple[float, float]]) -> list[float]:
    """Return the load of other processes during each fifth of the runs, in cores.

    Args:
        began: When the backfill was launched.
        ends: When the runs of the backfill ended, in order.
        samples: Pairs, in order: a time, and the CPU time of other processes until this time.
    """
    _, at = _fifths(began, ends)
    times, cpu_seconds = [time for time, _ in samples], [seconds for _, seconds in samples]
    cores = []
    for since, until in pairwise(at):
        # The samples around the fifth, which may be shorter than the interval between samples.
        first = max(bisect_right(times, since) - 1, 0)
        last = max(min(bisect_left(times, until), len(times) - 1), first)
        seconds = times[last] - times[first]
        cores.append((cpu_seconds[last] - cpu_seconds[first]) / seconds if seconds else 0.0)
    return cores


def _fifths(began: float, ends: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return the number of runs and the time at each border between fifths."""
    bounds = [len(ends) * fifth // 5 for fifth in range(6)]
    return bounds, [began if not bound else ends[bound - 1] for bound in bounds]


def _run(record: dg.RunRecord) -> Run:
    tags = record.dagster_run.tags
    return Run(
        tenant=tags.get(PARTITION_TAG, ""),
        requested_by=next((requester for tag, requester in _REQUESTER_BY_TAG.items() if tag in tags), "person"),
        status=record.dagster_run.status.value,
        requested_at=record.create_timestamp.timestamp(),
        started_at=record.start_time,
        ended_at=record.end_time,
    )


def _by_tenant(runs: Sequence[Run]) -> Mapping[str, list[Run]]:
    runs_by_tenant = defaultdict(list)
    for run in runs:
        runs_by_tenant[run.tenant].append(run)
    return runs_by_tenant


def overlaps(runs: Sequence[Run]) -> int:
    """Return the number of runs that started before an earlier run of the same tenant had ended."""
    count, latest_end = 0, float("-inf")
    for began, ended in sorted(
        (run.started_at, run.ended_at or float("inf")) for run in runs if run.started_at is not None
    ):
        count += began < latest_end
        latest_end = max(latest_end, ended)
    return count


def _ticks(instance: dg.DagsterInstance, since: float, until: float) -> dict[str, Ticks]:
    ticks_by_sensor = {}
    for state in instance.all_instigator_state():
        interval = getattr(state.instigator_data, "min_interval", None)
        if not interval:
            continue  # a schedule
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, after=since)
        # Start and end are included. Otherwise, a sensor without any tick would pass.
        times = sorted([since, *(tick.timestamp for tick in ticks), until])
        ticks_by_sensor[state.instigator_name] = Ticks(
            interval=interval,
            count=len(ticks),
            failed=sum(tick.status is TickStatus.FAILURE for tick in ticks),
            longest_gap=max(later - earlier for earlier, later in pairwise(times)),
        )
    return ticks_by_sensor
