"""The run launcher: sends the ID of a run to the broker, and reads from the run's lease whether a worker has the run.

dagster.yaml names the class; Dagster's webserver and daemon load it. Dagster's ``CeleryRunLauncher`` reads the state of
a task from Celery, where the state stays ``STARTED`` if the worker's machine vanishes. It cancels a run by a message to
all workers. A worker that has just lost its connection does not receive this message. Here, state and cancellation use
Dagster's database.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import dagster as dg
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG

from verifywise_mlflow.defs.dagster_compat.connections import postgres_url
from verifywise_mlflow.defs.dagster_compat.runs import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from verifywise_mlflow.defs.run_queue.priorities import effective_priority
from verifywise_mlflow.distributed.broker import TASK, broker_url, configure, message_priority
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.run_leases import RunLeases, end_sessions

LOST = "no worker holds the run's lease: its worker was killed, or lost its machine or its connection to the database"


class LeasedRunLauncher(CeleryRunLauncher):
    """Dagster's Celery launcher, with leases instead of Celery's results and remote control."""

    _instance: dg.DagsterInstance

    def __init__(self, **config: Any) -> None:  # Dagster's own configuration, passed on unchanged
        """Take the configuration of Dagster's launcher."""
        super().__init__(**config)
        self._url = self.broker or broker_url()
        configure(self.celery, self._url)

    @cached_property
    def _leases(self) -> RunLeases:
        return RunLeases(postgres_url(self._instance))

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send the run's ID to the broker."""
        self.send(context.dagster_run)

    def send(self, run: dg.DagsterRun) -> None:
        """Send a run's ID to the broker. A run whose ID is sent twice is executed once."""
        priority = message_priority(effective_priority(run.tags), self._url)
        queue = run.tags.get(DAGSTER_CELERY_QUEUE_TAG, self.default_queue)
        # Dagster's own method also writes two events and a tag with the message's ID, which only Celery's result
        # backend needs.
        message = self.celery.signature(TASK, kwargs={"run_id": run.run_id}, immutable=True)
        message.apply_async(priority=priority, queue=queue, routing_key=f"{queue}.{TASK}")
        self._instance.report_engine_event("The run's ID was sent to the broker.", run, cls=type(self))

    def terminate(self, run_id: str) -> bool:
        """Cancel a run: its worker sees the new status within two seconds. Returns False if the run has ended."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        if not self._leases.is_held(run_id):
            # No worker has the run now. A worker that receives the message later finds that the run has ended.
            self._instance.report_run_canceled(run, message="Canceled before a worker started it.")
        return True

    @property
    def supports_resume_run(self) -> bool:
        """A lost run is not resumed but retried as a new run, as for every other launcher."""
        return False

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether a worker holds the run's lease. If not, end the sessions that the run left in our database.

        A machine that vanished leaves its sessions open, and the tenant's lock belongs to one of these sessions. The
        retry would wait for the lock until Postgres gives up the connection, which takes two hours by default.
        """
        if self._leases.is_held(run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        end_sessions(database_url(), run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, LOST)

    def get_run_worker_debug_info(
        self,
        run: dg.DagsterRun,  # noqa: ARG002  # Dagster's signature
        include_container_logs: bool | None = True,  # noqa: ARG002
    ) -> str | None:
        """Return nothing: Celery stores no results."""
        return None
