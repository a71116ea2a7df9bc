"""Overview of a tenant: counts, badges and the worst verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import (
    canonical_records,
    compliance_badges,
    compliance_results,
    registered_models,
)


@dataclass(frozen=True, slots=True)
class Offender:
    """An open gap of a version, with its reason."""

    model_name: str
    version_number: int
    rule_id: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The living models and versions of a tenant, their badges, and the worst verdicts."""

    models: int
    versions: int
    badges: dict[str, int]
    worst: list[Offender]


def overview(store: Store, tenant_id: str, *, worst: int = 5) -> Overview:
    """Return the overview of a tenant, with up to ``worst`` open gaps."""
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
            worst=offenders(session, limit=worst),
        )


def offenders(session: TenantSession, *, limit: int = 20) -> list[Offender]:
    """Return the open gaps of living versions: production first, then failures."""
    results, records = compliance_results, canonical_records
    query = (
        select(results.c.model_name, results.c.version_number, results.c.rule_id, results.c.verdict, results.c.reason)
        .select_from(results.join(records, same_version(records, results)))
        .where(
            results.c.tenant_id == session.tenant_id,
            records.c.deleted_at.is_(None),
            results.c.verdict.in_(OPEN_VERDICTS),
        )
        .order_by(
            (records.c.lifecycle_stage == "production").desc().nulls_last(),
            (results.c.verdict == "fail").desc(),
            results.c.model_name,
            results.c.version_number.desc(),
            results.c.rule_id,
        )
        .limit(limit)
    )
    return [Offender(*row) for row in session.execute(query)]
