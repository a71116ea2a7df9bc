"""Waits until Dagster has synced the tenants, and shows how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from verifywise_mlflow.demo.errors import DemoError
from verifywise_mlflow.demo.progress import Tell
from verifywise_mlflow.demo.servers.dagster_api import ENDED, DagsterApi, SyncRun

STAGES = 6
APPEAR_SECONDS = 120.0
"""The ``tenants`` sensor asks for the first syncs within its first tick; a tick comes every 30 s."""
SYNC_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """How a tenant's sync ended."""

    tenant_id: str
    run_id: str
    failure: str | None
    """Why it failed; none if it succeeded."""


def request_syncs(api: DagsterApi, tenant_ids: Sequence[str]) -> None:
    """Ask for a sync of each tenant that had one before.

    The others' first sync is asked for by the sensor ``tenants``, as soon as it has made them partitions.
    """
    synced_before = {run.tenant_id for run in api.sync_runs()}
    for tenant_id in tenant_ids:
        if tenant_id in synced_before:
            api.launch(tenant_id)


def wait_for_syncs(
    api: DagsterApi, tenant_ids: Sequence[str], *, since: float, tell: Tell, check: Callable[[], None]
) -> list[SyncOutcome]:
    """Wait until each tenant's first run since a moment has ended.

    Args:
        api: the webserver.
        tenant_ids: the tenants.
        since: seconds since 1970.
        tell: takes each line of progress.
        check: raises if it is no use to wait any longer.

    Raises:
        DemoError: a run does not appear, or does not end.
    """
    began = time.monotonic()
    told = ""
    while True:
        check()
        runs = first_runs(api.sync_runs(), tenant_ids, since=since)
        state = "; ".join(f"{tenant_id} {_state(runs.get(tenant_id))}" for tenant_id in tenant_ids)
        if state != told:
            tell(state)
            told = state
        if len(runs) == len(tenant_ids) and all(run.status in ENDED for run in runs.values()):
            return [_outcome(api, tenant_id, runs[tenant_id]) for tenant_id in tenant_ids]
        waited = time.monotonic() - began
        if waited > (APPEAR_SECONDS if len(runs) < len(tenant_ids) else SYNC_SECONDS):
            raise DemoError(f"after {waited:.0f} s the syncs have come no further than: {state}")
        time.sleep(0.5)


def first_runs(runs: Sequence[SyncRun], tenant_ids: Sequence[str], *, since: float) -> Mapping[str, SyncRun]:
    """Return each tenant's first run that was created since a moment; the runs may come in any order."""
    firsts: dict[str, SyncRun] = {}
    for run in sorted(runs, key=lambda run: run.created):
        tenant_id = run.tenant_id
        if run.created >= since and tenant_id is not None and tenant_id in tenant_ids:
            firsts.setdefault(tenant_id, run)
    return firsts


def _state(run: SyncRun | None) -> str:
    if run is None:
        return "not asked for yet"
    if run.status in ENDED or run.status == "QUEUED":
        return run.status.lower()
    return f"{run.stages_done} of {STAGES} stages"


def _outcome(api: DagsterApi, tenant_id: str, run: SyncRun) -> SyncOutcome:
    if run.status == "SUCCESS":
        return SyncOutcome(tenant_id, run.run_id, None)
    return SyncOutcome(tenant_id, run.run_id, api.why_failed(run.run_id) if run.status == "FAILURE" else "canceled")
