"""What becomes of a request for a run before it is queued, whoever made it: a sensor, a schedule, a backfill, a person.

All of them come through here, in the daemon or in the webserver; so this is the place that holds for all. It is
named in dagster.yaml. Dagster documents such a class as the way to tag whatever is launched.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

from verifywise_mlflow.defs.run_queue.active_runs import let_go_sooner
from verifywise_mlflow.defs.run_queue.policy import PARTITION, Request, choose, queue_tags, server_of
from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants, tenants_path

_one_at_a_time = threading.Lock()
"""Sensors, schedules and backfills ask on threads of one daemon: of two that ask for the same tenant at once, each
would find nothing in the queue."""


class TenantRunCoordinator(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's queue; runs get the tags that its limits need, and a sync that waits already is not queued again."""

    def __init__(self, **configured: Any) -> None:  # Dagster's own, handed on as it came
        """Take Dagster's configuration of its queue."""
        super().__init__(**configured)
        self._servers: dict[str, str] = {}
        self._servers_as_of: tuple[int, int] | None = None

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag a run and queue it; withdraw what is superfluous by that."""
        run = context.dagster_run
        tenant_id = run.tags.get(PARTITION)
        if run.status is not dg.DagsterRunStatus.NOT_STARTED or tenant_id is None:
            return super().submit_run(context)
        if added := queue_tags(run.tags, self._server(tenant_id)):
            self._instance.add_run_tags(run.run_id, added)
        with _one_at_a_time:
            return self._queue(context, run, tenant_id)

    def _queue(self, context: SubmitRunContext, run: dg.DagsterRun, tenant_id: str) -> dg.DagsterRun:
        waiting = {one.run_id: one for one in self._waiting(tenant_id)}
        choice = choose(_request(run), [_request(one) for one in waiting.values()])
        if choice is None:
            return super().submit_run(context)
        # Who asks for it now, or did before, may be in more of a hurry than whose run stays.
        let_go_sooner(self._instance, choice.kept.run_id, choice.priority)
        if choice.withdrawn.run_id == run.run_id:
            why = f"a sync of {tenant_id} waits in the queue already and reads all that this one would"
            self._instance.report_run_canceled(run, message=f"Not queued: {why}.")
            return self._instance.get_run_by_id(run.run_id) or run
        queued = super().submit_run(context)
        why = f"the run {run.run_id}, of a backfill, reads all that this one would"
        self._instance.report_run_canceled(waiting[choice.withdrawn.run_id], message=f"Taken out of the queue: {why}.")
        return queued

    def _waiting(self, tenant_id: str) -> list[dg.DagsterRun]:
        queued = dg.RunsFilter(tags={PARTITION: tenant_id}, statuses=[dg.DagsterRunStatus.QUEUED])
        return list(self._instance.get_runs(filters=queued))

    def _server(self, tenant_id: str) -> str | None:
        """Return the tenant's server. The file is read again when it has changed: 500 tenants take a second."""
        try:
            stat = tenants_path().stat()
            if self._servers_as_of != (stat.st_mtime_ns, stat.st_size):
                self._servers = {name: server_of(tenant) for name, tenant in load_tenants().items()}
                self._servers_as_of = (stat.st_mtime_ns, stat.st_size)
        except (OSError, TenantsFileError) as error:
            # The run itself will say what is wrong; until then, no limit for the server holds.
            logging.getLogger(__name__).warning("the run of %s is queued without its server: %s", tenant_id, error)
        return self._servers.get(tenant_id)


def _request(run: dg.DagsterRun) -> Request:
    does = (run.job_name, repr(run.run_config), run.asset_selection, run.asset_check_selection)
    return Request(run.run_id, run.tags, does)
