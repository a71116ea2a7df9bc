"""Wait until Dagster has synced the tenants, and report progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from verifywise_mlflow.demo.errors import DemoError
from verifywise_mlflow.demo.progress import ReportProgress
from verifywise_mlflow.demo.servers.dagster_api import ENDED, DagsterApi, SyncRun

STAGE_COUNT = 6
REQUEST_TIMEOUT_S = 120.0
"""Seconds to wait for a run. The sensor ``tenants`` requests the first syncs in its first tick; it ticks every 30 s."""
SYNC_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """The end of a tenant's sync."""

    tenant_id: str
    run_id: str
    failure: str | None
    """The reason for a failure; None for success."""


def request_syncs(api: DagsterApi, tenant_ids: Sequence[str]) -> None:
    """Request a sync of each tenant that was synced before.

    The sensor ``tenants`` requests the first sync of other tenants, after it has added their partitions.
    """
    synced_before = {run.tenant_id for run in api.sync_runs()}
    for tenant_id in tenant_ids:
        if tenant_id in synced_before:
            api.launch(tenant_id)


def wait_for_syncs(
    api: DagsterApi,
    tenant_ids: Sequence[str],
    *,
    since: float,
    report_progress: ReportProgress,
    check: Callable[[], None],
) -> list[SyncOutcome]:
    """Wait until the first run of each tenant since a point in time has ended.

    Args:
        api: The webserver.
        tenant_ids: The tenants.
        since: Seconds since 1970, UTC.
        report_progress: Called with each line of progress.
        check: Called between polls; raises if waiting has become pointless.

    Raises:
        DemoError: A run did not start or did not end in time.
    """
    started = time.monotonic()
    reported = ""
    while True:
        check()
        runs = first_runs(api.sync_runs(), tenant_ids, since=since)
        state = "; ".join(f"{tenant_id} {describe(runs.get(tenant_id))}" for tenant_id in tenant_ids)
        if state != reported:
            report_progress(state)
            reported = state
        if len(runs) == len(tenant_ids) and all(run.status in ENDED for run in runs.values()):
            return [_outcome(api, tenant_id, runs[tenant_id]) for tenant_id in tenant_ids]
        waited_s = time.monotonic() - started
        if waited_s > (REQUEST_TIMEOUT_S if len(runs) < len(tenant_ids) else SYNC_TIMEOUT_S):
            raise DemoError(f"the syncs did not finish within {waited_s:.0f} s: {state}")
        time.sleep(0.5)


def first_runs(runs: Sequence[SyncRun], tenant_ids: Sequence[str], *, since: float) -> Mapping[str, SyncRun]:
    """Return the first run of each tenant created since a point in time; the runs may be in any order.

    If a schedule and a sensor request runs for the same tenant, the run queue cancels one run. The other run counts.
    """
    firsts: dict[str, SyncRun] = {}
    for run in sorted(runs, key=lambda run: run.created):
        tenant_id = run.tenant_id
        if tenant_id is None or tenant_id not in tenant_ids or run.created < since:
            continue
        if tenant_id not in firsts or firsts[tenant_id].status == "CANCELED":
            firsts[tenant_id] = run
    return firsts


def describe(run: SyncRun | None) -> str:
    """Return how far a run is: not requested yet, queued, the number of finished stages, or how it ended."""
    if run is None:
        return "not requested yet"
    if run.status in ENDED:
        return run.status.lower()
    if run.status in ("NOT_STARTED", "QUEUED"):  # Dagster creates a run before it queues it
        return "queued"
    return f"{run.stages_done} of {STAGE_COUNT} stages"


def _outcome(api: DagsterApi, tenant_id: str, run: SyncRun) -> SyncOutcome:
    if run.status == "SUCCESS":
        return SyncOutcome(tenant_id, run.run_id, None)
    return SyncOutcome(
        tenant_id, run.run_id, api.failure_message(run.run_id) if run.status == "FAILURE" else "canceled"
    )
