"""The rows of the tables that only the public API has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant that the database role may read."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    tenant: str
    """The tenant's name in tenants.yaml."""
    versions: int
    """The versions that MLflow has now."""
    last_sync_at: datetime | None
    """The time at which a sync last evaluated the tenant, UTC."""
