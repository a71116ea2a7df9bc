"""The sync of a run's tenant, shared by the run's assets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field, PrivateAttr

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.dagster_compat.connections import reuse_connections
from verifywise_mlflow.defs.dagster_compat.run_processes import uninterrupted
from verifywise_mlflow.defs.partitions import tenant_of_partition
from verifywise_mlflow.defs.run_queue.authenticated_user import USER_HEADER_VARIABLE
from verifywise_mlflow.defs.run_tags import PARTITION_TAG, TARGETED_SYNC_JOB, USER_TAG
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.migration_wait import MIGRATION_WAIT_SECONDS
from verifywise_mlflow.persistence.repositories.change_hints import ChangeHint
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.hinted_sync import plan_hinted_sync
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant


class UnauthenticatedAcceptanceError(Exception):
    """A run accepts removals without an authenticated user."""


class NoHintsError(Exception):
    """A run follows hints, but no hint is pending: an earlier sync has followed them."""


class TenantSync(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's type parameter is not used here
    """Opens one sync for the run's tenant and ends it with the run, so each run leaves one audit entry for its end.

    Credentials and the database URL are read when they are used, from the places that tenants.yaml and the environment
    name. Neither the credentials nor the URL pass through Dagster's configuration.
    """

    reconcile: bool = Field(default=False, description="Reread all linked runs, not only those that are due.")
    rehash: bool = Field(default=False, description="List and hash all artifacts again, not only those that are due.")
    accept_removals: str | None = Field(
        default=None,
        description="Accept a large removal, or emptied model folders, that an earlier sync held back. "
        "State who checked the server, and why "
        "the removal is right. Only for users whom a reverse proxy has authenticated; otherwise use the command line.",
    )
    _sync: Sync | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Let the run reuse its connections to Dagster's database."""
        if context.instance is not None:
            reuse_connections(context.instance)

    def get(self, context: dg.AssetExecutionContext) -> Sync:
        """Return the sync of the run's tenant. The first call opens it.

        Raises:
            NoHintsError: the run follows hints, and none is pending.
        """
        if self._sync is None:
            tenant = tenant_of_partition(context.partition_key)
            with ExitStack() as cleanup:
                user = context.run.tags.get(USER_TAG)
                store = Store(database_url(), dagster_user=user, wait_seconds=MIGRATION_WAIT_SECONDS)
                cleanup.enter_context(store)
                options, hints = self._plan(context.run, store, tenant)
                # This is set only after the sync has started: a sync that failed to start must not be ended, and a
                # retry of the step starts another sync.
                self._sync = Sync(
                    tenant,
                    store,
                    options,
                    context.run.run_id,
                    now=self.now,
                    stages=planned_stages(context.run),
                    hints=hints,
                ).__enter__()
                cleanup.pop_all()
        return self._sync

    def _plan(self, run: dg.DagsterRun, store: Store, tenant: Tenant) -> tuple[SyncOptions, Sequence[ChangeHint]]:
        """Return the options of the sync, and the hints that it follows."""
        if run.job_name == TARGETED_SYNC_JOB:
            plan = plan_hinted_sync(store, tenant)
            if plan.options.is_targeted and not plan.hints:
                raise NoHintsError
            return plan.options, plan.hints
        accepted = self._accepted_removals(run)
        return SyncOptions(reconcile=self.reconcile, rehash=self.rehash, accept_removals=accepted), ()

    def _accepted_removals(self, run: dg.DagsterRun) -> str | None:
        """Return the statement for the audit trail, whose entry names the authenticated user."""
        if not self.accept_removals:
            return None
        user = run.tags.get(USER_TAG)
        if not user:
            raise UnauthenticatedAcceptanceError(
                "accept_removals is refused: the run names no authenticated user. Run `verifywise-mlflow sync "
                f"{run.tags.get(PARTITION_TAG)} --accept-removals ...`, or put a reverse proxy with a login in front "
                f"of Dagster and set {USER_HEADER_VARIABLE} for the webserver"
            )
        return self.accept_removals

    def now(self) -> datetime:
        """Return the time that the sync records. It is not a field: a launched run must not choose audit times."""
        return datetime.now(UTC)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002  # Dagster's signature
        """End the sync, whether the run succeeded or not."""
        if self._sync is not None:
            try:
                with uninterrupted():
                    self._sync.__exit__(None, None, None)
            finally:
                self._sync.store.close()
                self._sync = None


def planned_stages(run: dg.DagsterRun) -> list[Stage]:
    """Return the stages of a run: all stages, or the stages that were selected or are retried."""
    steps = run.step_keys_to_execute
    if steps is None and run.asset_selection is not None:
        steps = [key.path[-1] for key in run.asset_selection]
    return [stage for stage in Stage if steps is None or stage in steps]
