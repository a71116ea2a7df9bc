"""The inventory: every model version of one tenant or several, with what a governance officer asks about first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.persistence.queries.version_filter import VersionFilter
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store


@value_object
class InventoryRow:
    """A model version in the inventory. A model without versions has one row, without a version number."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    ai_system: str | None
    """The AI system that the version is a part of, according to its tag or to what the tenant declares."""
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
    badge: str | None
    """evidence complete, gaps, failing or incomplete; null if the version was not evaluated yet."""
    badge_since: datetime | None
    """Since when the version has had this badge, UTC."""
    libraries: tuple[str, ...]
    """The MLflow flavors of the model, such as sklearn, sorted; empty if its files were not read or state none."""
    created_at: datetime | None
    """When MLflow created the version, UTC."""
    last_trained_at: datetime | None
    """When the training run ended, UTC; if it has not ended, when it started; null without a readable run."""
    last_changed_at: datetime | None
    """When a sync last saw a change of the version's record, UTC: of a stage, alias, tag, run or file."""
    is_incomplete: bool
    """Whether a part of the record could not be read: a value that is missing here may exist in MLflow."""
    deleted_at: datetime | None
    """Since when MLflow no longer has the version, UTC; null while it exists."""


@dataclass(frozen=True, slots=True)
class InventoryFilter:
    """What to list. The values of one field are alternatives; several fields must all match."""

    versions: VersionFilter = field(default_factory=VersionFilter)
    ai_systems: tuple[str, ...] = ()
    """Names of AI systems."""
    frameworks: tuple[str, ...] = ()
    """Governance frameworks: versions to which a rule applies that refers to one of them."""


def inventory(session: TenantSession, wanted: InventoryFilter | None = None) -> Iterator[InventoryRow]:
    """Yield a tenant's versions, sorted by model, the newest version first. Memory does not grow with their number.

    Raises:
        UnresolvedNameError: the tenant has no such AI system, or its policies refer to no such framework.
    """
    raise NotImplementedError


def inventory_of(
    store: Store, tenant_ids: Iterable[str], wanted: InventoryFilter | None = None
) -> Iterator[InventoryRow]:
    """Yield the versions of several tenants, in their order, each in a transaction of its own."""
    for tenant_id in tenant_ids:
        with store.begin(tenant_id) as session:
            yield from inventory(session, wanted)
