"""A tenant at a glance: what a summary shows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, registered_models
from verifywise_mlflow.persistence.verdicts import Offender, offenders


@dataclass(frozen=True, slots=True)
class Overview:
    """The living models and versions of a tenant, their badges, and the worst verdicts."""

    models: int
    versions: int
    badges: dict[str, int]
    worst: list[Offender]


def overview(store: Store, tenant_id: str, *, worst: int = 5) -> Overview:
    """Return a tenant at a glance, with up to ``worst`` verdicts that need a person."""
    models, records, badges = registered_models, canonical_records, compliance_badges
    with store.begin(tenant_id) as connection:
        counted = connection.execute(
            select(badges.c.badge, func.count())
            .select_from(
                badges.join(
                    records,
                    (records.c.tenant_id == badges.c.tenant_id)
                    & (records.c.model_name == badges.c.model_name)
                    & (records.c.version_number == badges.c.version_number),
                )
            )
            .where(badges.c.tenant_id == tenant_id, records.c.gone_at.is_(None))
            .group_by(badges.c.badge)
        )
        return Overview(
            models=connection.scalar(
                select(func.count()).where(models.c.tenant_id == tenant_id, models.c.gone_at.is_(None))
            )
            or 0,
            versions=connection.scalar(
                select(func.count()).where(records.c.tenant_id == tenant_id, records.c.gone_at.is_(None))
            )
            or 0,
            badges={str(badge): int(count) for badge, count in counted},
            worst=offenders(connection, tenant_id, limit=worst),
        )
