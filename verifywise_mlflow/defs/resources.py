"""The sync of a run's tenant, shared by the run's assets."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime

import dagster as dg
from pydantic import Field, PrivateAttr

from verifywise_mlflow.defs.held_connections import hold_connections
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants
from verifywise_mlflow.tenants.tenant import Tenant


def _described(tenant_id: str) -> Tenant:
    tenants = load_tenants()
    if tenant_id not in tenants:
        raise TenantsFileError(f"tenant {tenant_id} is no longer in tenants.yaml: it is not synced")
    return tenants[tenant_id]


class TenantSync(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's own parameter, of no use here
    """Opens one sync for the run's tenant and ends it with the run, so a run leaves one entry in the audit trail.

    Credentials and the database's URL are read from where tenants.yaml and the environment point to, at
    the moment of use: nothing of them passes through Dagster's configuration.
    """

    reconcile: bool = Field(default=False, description="Read all linked runs again, not only what is due.")
    rehash: bool = Field(default=False, description="List and hash all artifacts again, not only what is due.")
    accept_removals: str | None = Field(
        default=None, description="Let a large loss pass that was held back: who has looked at the server, and why."
    )
    _sync: Sync | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Get ready for the run's events."""
        if context.instance is not None:
            hold_connections(context.instance)

    def of(self, context: dg.AssetExecutionContext) -> Sync:
        """Return the sync of the run's tenant; open it the first time."""
        if self._sync is None:
            tenant = _described(context.partition_key)
            options = SyncOptions(reconcile=self.reconcile, rehash=self.rehash, accept_removals=self.accept_removals)
            with ExitStack() as until_it_began:
                store = until_it_began.enter_context(Store(database_url()))
                # Kept only once it began: one that did not is not to end, and Dagster's second try begins its own.
                self._sync = Sync(tenant, store, options, context.run.run_id, now=self.now).__enter__()
                until_it_began.pop_all()
        return self._sync

    def now(self) -> datetime:
        """Return the time that the sync goes by. No field: who launches a run is not to choose what the trail says."""
        return datetime.now(UTC)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002  # Dagster calls it so
        """End the sync, whether the run succeeded or not."""
        if self._sync is not None:
            try:
                self._sync.__exit__(None, None, None)
            finally:
                self._sync.store.close()
                self._sync = None
