"""Overview of a tenant: counts, badges and the gaps that most need a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from verifywise_mlflow.compliance.attention import UrgentGap
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.persistence.queries.open_gaps import urgent_gaps
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, registered_models


@dataclass(frozen=True, slots=True)
class Overview:
    """The living models and versions of a tenant, their badges, and the gaps that most need a person."""

    models: int
    versions: int
    badges: dict[str, int]
    urgent: list[UrgentGap]


def overview(
    store: Store, tenant_id: str, severities: Mapping[str, Severity], at: datetime, *, urgent: int = 5
) -> Overview:
    """Return the overview of a tenant at the current time, with up to ``urgent`` gaps; ``severities`` by rule ID."""
    models, records, badges = registered_models, canonical_records, compliance_badges
    with store.begin(tenant_id) as session:
        counted = session.execute(
            select(badges.c.badge, func.count())
            .select_from(
                badges.join(
                    records,
                    same_version(records, badges),
                )
            )
            .where(badges.c.tenant_id == tenant_id, records.c.deleted_at.is_(None))
            .group_by(badges.c.badge)
        )
        return Overview(
            models=session.scalar(
                select(func.count()).where(models.c.tenant_id == tenant_id, models.c.deleted_at.is_(None))
            )
            or 0,
            versions=session.scalar(
                select(func.count()).where(records.c.tenant_id == tenant_id, records.c.deleted_at.is_(None))
            )
            or 0,
            badges={str(badge): int(count) for badge, count in counted},
            urgent=urgent_gaps(session, at, severities, urgent),
        )
