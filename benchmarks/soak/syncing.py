"""Runs one sync, as Dagster does in production: the job ``sync_tenant`` for a partition, in a worker process.

Production starts a process per run. Here, a few processes execute one run after the other. This saves imports and lets
a memory leak add up. The queue and the daemon are not involved, since they use the real clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import dagster as dg

from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.resources import TenantSync


class SimulatedSync(TenantSync):
    """The sync of a run, with an injected time."""

    at: str
    """ISO 8601."""

    def now(self) -> datetime:
        """Return the injected time."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """A requested sync."""

    home: Path
    """Home of Dagster's instance."""
    tenant: str
    at: datetime
    reconcile: bool = False


@dataclass(frozen=True, slots=True)
class SyncOutcome:
    """A finished sync."""

    tenant: str
    run_id: str
    changes: int
    """The number of written or removed objects in all stages."""
    failure: str | None = None
    is_expected: bool = True
    """Whether a failure is an error that the product reports as a sentence."""


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open Dagster's instance from its dagster.yaml and the environment."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@cache
def _opened(home: Path) -> dg.DagsterInstance:
    """Return the instance of this process, opened once."""
    return dg.DagsterInstance.from_config(str(home))


def prepare(home: Path) -> None:
    """Import everything and open the instance, before the first sync of a process."""
    _opened(home)
    defs.resolve_job_def(sync_tenant.name)


def sync(request: SyncRequest) -> SyncOutcome:
    """Run the job. A failed sync is a result, not an error."""
    result = defs.resolve_job_def(sync_tenant.name).execute_in_process(
        instance=_opened(request.home),
        partition_key=request.tenant,
        resources={"tenant_sync": SimulatedSync(reconcile=request.reconcile, at=request.at.isoformat())},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    changed_rows = sum(
        int(figure.value)
        for event in result.get_asset_materialization_events()
        for name, figure in event.step_materialization_data.materialization.metadata.items()
        if name in ("changed", "removed") and isinstance(figure, dg.IntMetadataValue) and figure.value
    )
    if result.success:
        return SyncOutcome(request.tenant, result.run_id, changed_rows)
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    if not failures:
        return SyncOutcome(
            request.tenant, result.run_id, changed_rows, "no step failed, and the run did", is_expected=False
        )
    failure_data = failures[0].user_failure_data
    sentence = failure_data.description if failure_data else failures[0].error_display_string
    return SyncOutcome(
        request.tenant, result.run_id, changed_rows, sentence or "no reason", is_expected=failure_data is not None
    )
