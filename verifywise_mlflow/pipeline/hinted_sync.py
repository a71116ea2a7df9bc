"""Decides which sync follows the hints of a tenant's webhooks, and which hints are settled when a sync has ended.

A sync settles a hint if it has read the object that the hint names, or if both listings of the sync were complete. A
hint that arrives while a sync runs stays pending.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.repositories import change_hints, registry, tenancy
from verifywise_mlflow.persistence.repositories.change_hints import REGISTRY, ChangeHint, HintedObject, ObjectKind
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import LeftToListing, StageReport, SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant

_LISTINGS: Final = frozenset((Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS))


@dataclass(frozen=True, slots=True)
class HintedSync:
    """The options of a sync, and the hints that it settles unless it fails: the arguments of ``Sync``."""

    options: SyncOptions
    hints: Sequence[ChangeHint]


def plan_hinted_sync(store: Store, tenant: Tenant) -> HintedSync:
    """Return the sync that follows the tenant's pending hints. Without hints, its scope is empty.

    It is a sync of the whole registry if a hint requests that or if point reads do not suffice.
    """
    with store.begin(tenant.tenant_id) as session:
        hints = change_hints.pending(session)
        options = targeted_options(session, tenant, [hint.object for hint in hints])
    # A sync of the registry settles all hints from before it began, including the hints of this plan.
    return HintedSync(options, hints if options.is_targeted else ())


def targeted_options(session: TenantSession, tenant: Tenant, objects: Sequence[HintedObject]) -> SyncOptions:
    """Return the options of a sync that reads only these objects, or the options of a sync of the whole registry.

    A sync of the registry is needed on Databricks, whose point reads differ from its listings, and for a tenant without
    a complete listing, where nothing is known about objects that are not named.
    """
    versions = tenancy.stage_refreshes_of(session).get(Stage.MODEL_VERSIONS)
    was_listed = versions is not None and versions.reconciled_at is not None
    if tenant.server.kind != "mlflow" or not was_listed or REGISTRY in objects:
        return SyncOptions()
    return SyncOptions(only=tuple(sorted({*objects, *_models_among_prompts(session, objects)})))


def _models_among_prompts(session: TenantSession, objects: Sequence[HintedObject]) -> Iterator[HintedObject]:
    """Yield the models among the named prompts: MLflow's webhooks report a model with the prompt tag as a prompt."""
    prompts = [item for item in objects if item.kind is ObjectKind.PROMPT]
    stored = registry.stored_models(session, {item.name for item in prompts}) if prompts else {}
    for item in prompts:
        if item.name in stored and not stored[item.name].is_deleted:
            yield HintedObject(ObjectKind.MODEL, item.name, item.version_number)


@dataclass(slots=True)
class HintSettlement:
    """The hints that a sync settles when it ends."""

    options: SyncOptions
    hints: Sequence[ChangeHint]
    """The hints that a targeted sync follows."""
    left_to_listing: LeftToListing
    """Objects that the sync has read and that only a listing can show correctly."""
    _covered: int | None = None
    """The newest hint from before the listings."""
    _has_begun: bool = False

    def begin(self, newest_hint: int | None) -> None:
        """Store the revision of the newest hint before the first listing.

        A later call, after a retry, has no effect: the first attempt may have requested the listing of versions.
        """
        if not self._has_begun:
            self._has_begun, self._covered = True, newest_hint

    def settle(self, session: TenantSession, reports: Sequence[StageReport], now: datetime) -> None:
        """Settle the hints of a sync that did not fail, in the transaction that records the end of the sync.

        Objects that only a listing can show become a hint to list the registry.
        """
        progress = {report.stage: report.progress for report in reports if report.stage in _LISTINGS}
        if progress.keys() != _LISTINGS:
            return
        if self.options.is_targeted:
            if not any(of_stage.is_cut_short for of_stage in progress.values()):
                change_hints.settle(session, self.hints)
            if self.left_to_listing:
                change_hints.record(session, [REGISTRY], now)
        elif self._covered is not None and all(of_stage.is_complete_listing for of_stage in progress.values()):
            change_hints.settle_up_to(session, self._covered)
