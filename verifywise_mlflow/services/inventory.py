"""The inventory: every model version of one tenant or several, with the fields that an officer needs first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.compliance.badge import BADGE_WORDS
from verifywise_mlflow.persistence.queries.coverage import current_policies
from verifywise_mlflow.persistence.queries.inventory import (
    InventorySelection,
    ListedModel,
    ListedVersion,
    listed_versions,
    models_without_versions,
)
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.ai_systems import system_names
from verifywise_mlflow.services.list_filters import models_of_systems, require_known_filters, rules_of_frameworks
from verifywise_mlflow.services.per_tenant_reading import read_each


@value_object
class InventoryRow:
    """A model version in the inventory. A model without versions has one row, without a version number."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    ai_system: str | None
    """The AI system that the model is a part of, according to its tags or to what the tenant declares."""
    model_name: str
    """The registered model, as MLflow names it."""
    version_number: int | None
    """The version's number in MLflow; null for a model without versions."""
    lifecycle_stage: str | None
    """production, staging, development or archived; null if nothing states it."""
    aliases: tuple[str, ...]
    """The aliases that point to the version, sorted."""
    deployment_status: str | None
    """deployed, partly_deployed, pending or not_deployed; null if nothing states it."""
    owner: str | None
    """The person or team accountable for the model."""
    business_purpose: str | None
    """What the model is for."""
    risk_category: str | None
    """prohibited, high, limited, medium, low or minimal, according to a tag: a declaration, not a classification."""
    badge: Annotated[str | None, Field(description=f"{BADGE_WORDS}; null if the version was not evaluated yet.")]
    badge_since: datetime | None
    """Since when the version has had this badge, UTC."""
    libraries: tuple[str, ...]
    """The MLflow flavors of the model, such as sklearn, sorted; empty if its files were not read or state none."""
    agent: str | None
    """The agent that the version was registered from, by its name or ID; null for other models."""
    created_at: datetime | None
    """When MLflow created the version, UTC."""
    last_trained_at: datetime | None
    """When the training run ended, UTC; if it has not ended, when it started; null without a readable run."""
    last_changed_at: datetime | None
    """When a sync last saw a change in the version's record (a stage, alias, tag, run or file), UTC."""
    is_incomplete: bool
    """Whether a part of the record could not be read: a value that is missing here may exist in MLflow."""
    deleted_at: datetime | None
    """Since when MLflow no longer has the version, UTC; null while it exists."""


@dataclass(frozen=True, slots=True)
class InventoryFilter:
    """Which versions to list. The values of one field are alternatives; several fields must all match."""

    versions: VersionFilter = field(default_factory=VersionFilter)
    ai_systems: tuple[str, ...] = ()
    """Names of AI systems."""
    frameworks: tuple[str, ...] = ()
    """Governance frameworks. A version matches if a rule that refers to one of them applies to the version."""


def inventory(
    session: TenantSession, wanted: InventoryFilter | None = None, limit: int | None = None
) -> Iterator[InventoryRow]:
    """Yield a tenant's versions, sorted by model, the newest version first, then the models without versions.

    Memory does not grow with the number of versions. A filter on a property of versions leaves out models without
    versions.

    Args:
        session: The tenant's transaction.
        wanted: Which versions to list.
        limit: The maximum number of rows to yield.

    Raises:
        UnresolvedNameError: the tenant has no such AI system, or its policies refer to no such framework.
    """
    wanted = wanted or InventoryFilter()
    systems = system_names(session)
    selected = InventorySelection(
        wanted.versions,
        models_of_systems(session, systems, wanted.ai_systems) if wanted.ai_systems else None,
        rules_of_frameworks(session, current_policies(session), wanted.frameworks) if wanted.frameworks else None,
    )
    rows = chain(
        (_version_row(session.tenant_id, systems, version) for version in listed_versions(session, selected)),
        (_model_row(session.tenant_id, systems, model) for model in models_without_versions(session, selected)),
    )
    return islice(rows, limit)


def inventory_of(
    store: Store, tenant_ids: Sequence[str], wanted: InventoryFilter | None = None, limit: int | None = None
) -> Iterator[InventoryRow]:
    """Yield the versions of several tenants, tenant by tenant; ``limit`` applies to each tenant.

    Raises:
        UnresolvedNameError: none of the tenants has such a model, owner, AI system or framework.
    """
    require_known_filters(store, tenant_ids, (wanted or InventoryFilter()).versions)
    return read_each(store, tenant_ids, lambda session: inventory(session, wanted, limit))


def _version_row(tenant_id: str, systems: Mapping[str, str], version: ListedVersion) -> InventoryRow:
    return InventoryRow(
        tenant=tenant_id,
        ai_system=systems.get(version.model_name),
        model_name=version.model_name,
        version_number=version.version_number,
        lifecycle_stage=version.lifecycle_stage,
        aliases=tuple(version.aliases or ()),
        deployment_status=version.deployment_status,
        owner=version.owner,
        business_purpose=version.business_purpose,
        risk_category=version.risk_category,
        badge=version.badge,
        badge_since=version.badge_since,
        libraries=tuple(version.libraries),
        agent=version.agent,
        created_at=version.created_at,
        last_trained_at=version.last_trained_at,
        last_changed_at=version.last_changed_at,
        is_incomplete=version.is_incomplete,
        deleted_at=version.deleted_at,
    )


def _model_row(tenant_id: str, systems: Mapping[str, str], model: ListedModel) -> InventoryRow:
    return InventoryRow(
        tenant=tenant_id,
        ai_system=systems.get(model.model_name),
        model_name=model.model_name,
        version_number=None,
        lifecycle_stage=None,
        aliases=(),
        deployment_status=None,
        owner=None,
        business_purpose=None,
        risk_category=None,
        badge=None,
        badge_since=None,
        libraries=(),
        agent=None,
        created_at=model.created_at,
        last_trained_at=None,
        last_changed_at=model.changed_at,
        is_incomplete=False,
        deleted_at=model.deleted_at,
    )
