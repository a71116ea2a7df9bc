"""The run coordinator: tags and deduplicates every run before it is queued.

Every run that a sensor, a schedule, a backfill or a person requests is submitted here, in the daemon or in the
webserver. dagster.yaml names the class. Dagster documents a custom run coordinator as the way to tag all runs.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any, Final

import dagster as dg

from verifywise_mlflow.defs.dagster_compat.connections import remember_schema
from verifywise_mlflow.defs.dagster_compat.runs import QueuedRunCoordinator, SubmitRunContext
from verifywise_mlflow.defs.run_queue.active_runs import last_run_seconds, raise_priority
from verifywise_mlflow.defs.run_queue.authenticated_user import user_tag_changes
from verifywise_mlflow.defs.run_queue.queue_rules import (
    QueuedRun,
    deduplicate,
    is_delivery,
    is_slow,
    missing_delivery_tags,
    missing_queue_tags,
    server_of,
    sync_scope,
)
from verifywise_mlflow.defs.run_queue.queue_signal import announce_run
from verifywise_mlflow.defs.run_tags import PARTITION_TAG, USER_TAG
from verifywise_mlflow.instance_settings import integer_setting
from verifywise_mlflow.observability.json_logs import install_json_logs
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants, tenants_path

install_json_logs()  # dagster.yaml names this module, so the daemon and the webserver import it

_JUDGED_RUNS: Final = 3
"""The number of a tenant's last runs that decide whether the tenant is slow."""
_submission_lock = threading.Lock()
"""Sensors, schedules and backfills submit from threads of one daemon. Without the lock, two threads that submit runs of
one tenant at once would each find an empty queue."""


class TenantRunCoordinator(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's queue, with the tags that its limits need, and with deduplication of queued syncs."""

    def __init__(self, **config: Any) -> None:  # Dagster's own configuration, passed on unchanged
        """Take the configuration of Dagster's queue."""
        super().__init__(**config)
        self._servers: dict[str, str] = {}
        self._servers_file_state: tuple[int, int] | None = None

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Take the instance; check once, rather than before most writes, which tables and columns its database has."""
        super().register_instance(instance)
        remember_schema(instance)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Tag a run and queue it; cancel a duplicate."""
        if changed_tags := user_tag_changes(context):
            self._instance.add_run_tags(context.dagster_run.run_id, changed_tags)
            context = context._replace(
                dagster_run=context.dagster_run.with_tags({**context.dagster_run.tags, **changed_tags})
            )
        run = context.dagster_run
        tenant_id = run.tags.get(PARTITION_TAG)
        if run.status is not dg.DagsterRunStatus.NOT_STARTED or tenant_id is None:
            return super().submit_run(context)
        if missing_tags := self._missing_tags(run, tenant_id):
            self._instance.add_run_tags(run.run_id, missing_tags)
        with _submission_lock:
            queued = self._queue(context, run, tenant_id)
        announce_run(self._instance)
        return queued

    def _queue(self, context: SubmitRunContext, run: dg.DagsterRun, tenant_id: str) -> dg.DagsterRun:
        queued_runs = {queued.run_id: queued for queued in self._queued_runs(tenant_id)}
        duplicate = deduplicate(_queued_run(run), [_queued_run(queued) for queued in queued_runs.values()])
        if duplicate is None:
            return super().submit_run(context)
        # The canceled run may have had the higher priority.
        raise_priority(self._instance, duplicate.retained.run_id, duplicate.priority)
        if duplicate.canceled.run_id == run.run_id:
            reason = f"run {duplicate.retained.run_id} is already queued for {tenant_id} and will read the same data"
            self._instance.report_run_canceled(run, message=f"Not queued: {reason}.")
            return self._instance.get_run_by_id(run.run_id) or run
        submitted = super().submit_run(context)
        reason = f"run {run.run_id} of a backfill will read the same data"
        self._instance.report_run_canceled(
            queued_runs[duplicate.canceled.run_id], message=f"Removed from the queue: {reason}."
        )
        return submitted

    def _missing_tags(self, run: dg.DagsterRun, tenant_id: str) -> dict[str, str]:
        if is_delivery(run.job_name, [key.path[-1] for key in run.asset_selection or ()]):
            return missing_delivery_tags(run.tags)
        return missing_queue_tags(run.tags, self._server_of(tenant_id), is_slow=self._is_slow(tenant_id))

    def _is_slow(self, tenant_id: str) -> bool:
        slow_seconds = integer_setting(os.environ, "VERIFYWISE_SLOW_SYNC_SECONDS")
        return is_slow(last_run_seconds(self._instance, tenant_id, _JUDGED_RUNS), slow_seconds)

    def _queued_runs(self, tenant_id: str) -> list[dg.DagsterRun]:
        queued = dg.RunsFilter(tags={PARTITION_TAG: tenant_id}, statuses=[dg.DagsterRunStatus.QUEUED])
        return list(self._instance.get_runs(filters=queued))

    def _server_of(self, tenant_id: str) -> str | None:
        """Return the tenant's server. tenants.yaml is parsed only after a change: 500 tenants take a second."""
        try:
            stat = tenants_path().stat()
            if self._servers_file_state != (stat.st_mtime_ns, stat.st_size):
                self._servers = {name: server_of(tenant) for name, tenant in load_tenants().items()}
                self._servers_file_state = (stat.st_mtime_ns, stat.st_size)
        except (OSError, TenantsFileError) as error:
            # The run itself will fail with the same error; until then the limit per server does not apply to it.
            logging.getLogger(__name__).warning(
                "queued a run of %s without its server tag, so the limit per server does not apply: %s",
                tenant_id,
                error,
            )
        return self._servers.get(tenant_id)


def _queued_run(run: dg.DagsterRun) -> QueuedRun:
    # A run with its own configuration may depend on the person who requested it, as the acceptance of removals does.
    user = run.tags.get(USER_TAG) if run.run_config else None
    work = (run.job_name, repr(run.run_config), user, run.asset_selection, run.asset_check_selection)
    return QueuedRun(run.run_id, run.tags, work, sync_scope(run.job_name, run.asset_selection))
