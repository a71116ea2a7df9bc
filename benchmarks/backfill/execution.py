"""Launches the backfill, changes tenants while it drains, and measures Dagster's processes."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg
import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package
import urllib3
from dagster._core.execution.backfill import BulkActionStatus

from benchmarks.backfill.installation import Installation, ReportProgress
from benchmarks.other_load import other_cpu_seconds
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG
from verifywise_mlflow.demo.servers.dagster_api import JOB, LOCATION
from verifywise_mlflow.demo.servers.process import ChildProcess

CHANGE_INTERVAL_SECONDS = 8.0
SYNC_WAIT_SECONDS = 240.0
"""The time for the syncs of the last changes, in seconds. A sensor must detect these changes first."""
OTHER_LOAD_INTERVAL_SECONDS = 10.0
POLLING_SENSORS = ("new_versions", "changed_listings")
"""The sensors that poll the tenants' servers."""

_LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}
"""


@dataclass(slots=True)
class Change:
    """A version that was registered during the backfill. Times are in seconds since 1970."""

    tenant: str
    version: int
    at: float
    judged_at: float | None = None
    """When the store had a verdict on the version."""


@dataclass(slots=True)
class DrainRecord:
    """Observations that Dagster does not record."""

    backfill: str
    launched_at: float
    """The time of the launch, in seconds since 1970."""
    left_at: float = 0.0
    """The time at which the observation ended."""
    changes: list[Change] = field(default_factory=list)
    """The versions that were registered during the backfill."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """Peak memory of each of Dagster's processes by name, and of all runs' processes together."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """CPU time of each of Dagster's processes, without the processes of runs."""
    other_cpu_seconds: list[tuple[float, float]] = field(default_factory=list)
    """The CPU time of everything else on the machine, by time."""


def drain(installed: Installation, at_most_seconds: float, report_progress: ReportProgress) -> DrainRecord:
    """Launch a backfill over all tenants. Return when the backfill and the syncs of all changes are complete."""
    _await_first_ticks(installed)
    report_progress(f"a backfill of {len(installed.servers)} tenants")
    before = {child.name: _cpu_seconds(child) for child in installed.dagster.children}
    launched_at = time.time()
    record = DrainRecord(_launch(installed), launched_at)
    record.other_cpu_seconds.append((launched_at, other_cpu_seconds()))
    ends_at, chance, reported = launched_at + at_most_seconds, random.Random(7), 0  # noqa: S311  # no secret depends on it
    to_change = chance.sample(sorted(installed.servers), max(len(installed.servers) // 5, 1))
    next_change = launched_at + CHANGE_INTERVAL_SECONDS
    while time.time() < ends_at:
        _observe(installed, record)
        unfinished = installed.instance.get_runs_count(
            dg.RunsFilter(tags={BACKFILL_TAG: record.backfill}, statuses=_UNFINISHED_STATUSES)
        )
        finished = installed.instance.get_runs_count(dg.RunsFilter(tags={BACKFILL_TAG: record.backfill})) - unfinished
        if finished // 50 > reported:
            reported = finished // 50
            report_progress(
                f"{finished} are done, {unfinished} wait or are under way, {len(record.changes)} tenants have changed"
            )
        if not unfinished and _has_ended(installed, record.backfill):
            break
        if to_change and time.time() >= next_change:
            tenant = to_change.pop()
            record.changes.append(Change(tenant, installed.register_version(tenant), time.time()))
            next_change += CHANGE_INTERVAL_SECONDS
        time.sleep(1)
    report_progress("waiting for the syncs of what has changed")
    ends_at, pending = min(ends_at, time.time() + SYNC_WAIT_SECONDS), record.changes
    while pending and time.time() < ends_at:
        _observe(installed, record)
        time.sleep(2)
        for change in pending:
            change.judged_at = installed.judged_at(change.tenant, change.version)
        pending = [change for change in pending if change.judged_at is None]
    record.left_at = time.time()
    record.other_cpu_seconds.append((record.left_at, other_cpu_seconds()))
    record.cpu_seconds = {child.name: _cpu_seconds(child) - before[child.name] for child in installed.dagster.children}
    return record


_IN_PROGRESS_STATUSES = (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)
_UNFINISHED_STATUSES = [
    *(dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING),
    *(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
]


def _await_first_ticks(installed: Installation) -> None:
    """Wait until the sensors have polled all tenants once, so that later requests are due to changes."""
    deadline = time.monotonic() + 300
    while True:
        states = [
            state for state in installed.instance.all_instigator_state() if state.instigator_name in POLLING_SENSORS
        ]
        ticks = [
            installed.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1) for state in states
        ]
        if len(states) == len(POLLING_SENSORS) and all(
            tenant_ticks and tenant_ticks[0].end_timestamp for tenant_ticks in ticks
        ):
            return
        assert time.monotonic() < deadline, "the sensors do not tick"
        time.sleep(1)


def _launch(installed: Installation) -> str:
    params = {
        "selector": {
            "partitionSetName": f"{JOB}_partition_set",
            "repositorySelector": {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"},
        },
        "partitionNames": sorted(installed.servers),
        "fromFailure": False,
    }
    body = {"query": _LAUNCH, "variables": {"params": params}}
    response = urllib3.request("POST", f"{installed.dagster.uri}/graphql", json=body, timeout=300).json()
    launched: Mapping[str, str] = response["data"]["launchPartitionBackfill"]
    assert "backfillId" in launched, launched
    return launched["backfillId"]


def _has_ended(installed: Installation, backfill: str) -> bool:
    """Whether Dagster will create no further run of the backfill, retries included."""
    backfill_state = installed.instance.get_backfill(backfill)
    return backfill_state is not None and backfill_state.status not in _IN_PROGRESS_STATUSES


def _observe(installed: Installation, record: DrainRecord) -> None:
    """Record memory, and from time to time the load of other processes."""
    if time.time() > record.other_cpu_seconds[-1][0] + OTHER_LOAD_INTERVAL_SECONDS:
        record.other_cpu_seconds.append((time.time(), other_cpu_seconds()))
    run_bytes = 0
    for child in installed.dagster.children:
        process = psutil.Process(child.pid)
        resident_bytes = process.memory_info().rss
        record.peak_bytes[child.name] = max(record.peak_bytes.get(child.name, 0), resident_bytes)
        for child_process in process.children(recursive=True):
            try:
                run_bytes += child_process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    record.peak_bytes["all runs' processes"] = max(record.peak_bytes.get("all runs' processes", 0), run_bytes)


def _cpu_seconds(child: ChildProcess) -> float:
    times = psutil.Process(child.pid).cpu_times()
    return float(times.user + times.system)
