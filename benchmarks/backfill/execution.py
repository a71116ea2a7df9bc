"""Launches the backfill, changes tenants while it drains, and measures Dagster's processes."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package
import urllib3
from dagster._core.execution.backfill import BulkActionStatus

from benchmarks.backfill.installation import Installation, ReportProgress
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, PARTITION_TAG
from verifywise_mlflow.demo.servers.dagster_api import JOB, LOCATION
from verifywise_mlflow.demo.servers.process import ChildProcess

CHANGE_INTERVAL_SECONDS = 8.0
SYNC_WAIT_SECONDS = 240.0
"""Seconds for the syncs of the last changes, which a sensor must detect first."""
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
class DrainRecord:
    """Observations in addition to what Dagster records."""

    backfill: str
    launched_at: float
    """Seconds since 1970."""
    left_at: float = 0.0
    """When the observation ended."""
    changed: dict[str, float] = field(default_factory=dict)
    """When a new version was registered, by tenant."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """Peak memory of each of Dagster's processes by name, and of all runs' processes together."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """CPU time of each of Dagster's processes, without the runs'."""


def drain(place: Installation, at_most_seconds: float, report_progress: ReportProgress) -> DrainRecord:
    """Launch a backfill over all tenants; return when it and the syncs of all changes are done."""
    _await_first_ticks(place)
    report_progress(f"a backfill of {len(place.servers)} tenants")
    before = {child.name: _cpu_seconds(child) for child in place.dagster.children}
    launched_at = time.time()
    drained = DrainRecord(_launch(place), launched_at)
    ends_at, chance, reported = launched_at + at_most_seconds, random.Random(7), 0  # noqa: S311  # no secret depends on it
    to_change = chance.sample(sorted(place.servers), max(len(place.servers) // 5, 1))
    next_change = launched_at + CHANGE_INTERVAL_SECONDS
    while time.time() < ends_at:
        _take_down_memory(place, drained)
        unfinished = place.instance.get_runs_count(
            dg.RunsFilter(tags={BACKFILL_TAG: drained.backfill}, statuses=_UNFINISHED_STATUSES)
        )
        finished = place.instance.get_runs_count(dg.RunsFilter(tags={BACKFILL_TAG: drained.backfill})) - unfinished
        if finished // 50 > reported:
            reported = finished // 50
            report_progress(
                f"{finished} are done, {unfinished} wait or are under way, {len(drained.changed)} tenants have changed"
            )
        if not unfinished and _has_ended(place, drained.backfill):
            break
        if to_change and time.time() >= next_change:
            tenant = to_change.pop()
            place.register_version(tenant)
            drained.changed[tenant] = time.time()
            next_change += CHANGE_INTERVAL_SECONDS
        time.sleep(1)
    report_progress("waiting for the syncs of what has changed")
    ends_at, unread = min(ends_at, time.time() + SYNC_WAIT_SECONDS), drained.changed
    while unread and time.time() < ends_at:
        _take_down_memory(place, drained)
        time.sleep(2)
        unread = {tenant: at for tenant, at in unread.items() if not _is_read(place, tenant, at)}
    drained.left_at = time.time()
    drained.cpu_seconds = {child.name: _cpu_seconds(child) - before[child.name] for child in place.dagster.children}
    return drained


_UNDER_WAY = (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING)
_UNFINISHED_STATUSES = [
    *(dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING),
    *(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
]


def _await_first_ticks(place: Installation) -> None:
    """Wait until the sensors have polled all tenants once, so that later requests are due to changes."""
    deadline = time.monotonic() + 300
    while True:
        states = [state for state in place.instance.all_instigator_state() if state.instigator_name in POLLING_SENSORS]
        ticks = [place.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1) for state in states]
        if len(states) == len(POLLING_SENSORS) and all(
            tenant_ticks and tenant_ticks[0].end_timestamp for tenant_ticks in ticks
        ):
            return
        assert time.monotonic() < deadline, "the sensors do not tick"
        time.sleep(1)


def _launch(place: Installation) -> str:
    params = {
        "selector": {
            "partitionSetName": f"{JOB}_partition_set",
            "repositorySelector": {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"},
        },
        "partitionNames": sorted(place.servers),
        "fromFailure": False,
    }
    body = {"query": _LAUNCH, "variables": {"params": params}}
    response = urllib3.request("POST", f"{place.dagster.uri}/graphql", json=body, timeout=300).json()
    launched: Mapping[str, str] = response["data"]["launchPartitionBackfill"]
    assert "backfillId" in launched, launched
    return launched["backfillId"]


def _has_ended(place: Installation, backfill: str) -> bool:
    """Whether Dagster will create no further run of the backfill, retries included."""
    backfill_state = place.instance.get_backfill(backfill)
    return backfill_state is not None and backfill_state.status not in _UNDER_WAY


def _is_read(place: Installation, tenant: str, at: float) -> bool:
    """Whether a run that started after a change has succeeded."""
    records = place.instance.get_run_records(
        dg.RunsFilter(
            tags={PARTITION_TAG: tenant},
            statuses=[dg.DagsterRunStatus.SUCCESS],
            updated_after=datetime.fromtimestamp(at, UTC),
        )
    )
    return any(record.start_time and record.start_time > at for record in records)


def _take_down_memory(place: Installation, drained: DrainRecord) -> None:
    of_runs = 0
    for child in place.dagster.children:
        process = psutil.Process(child.pid)
        resident_bytes = process.memory_info().rss
        drained.peak_bytes[child.name] = max(drained.peak_bytes.get(child.name, 0), resident_bytes)
        for child_process in process.children(recursive=True):
            try:
                of_runs += child_process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    drained.peak_bytes["all runs' processes"] = max(drained.peak_bytes.get("all runs' processes", 0), of_runs)


def _cpu_seconds(child: ChildProcess) -> float:
    times = psutil.Process(child.pid).cpu_times()
    return float(times.user + times.system)
