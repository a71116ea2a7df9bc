"""The inputs of a badge: a model's versions with their badges, and counts of verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, func, select, text

from verifywise_mlflow.compliance.badge import Badge, EvaluatedVersion
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import is_waived
from verifywise_mlflow.persistence.row_mapping import Key, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, compliance_verdicts


@dataclass(frozen=True, slots=True)
class BadgedVersion:
    """A stored version, living or deleted."""

    judged: EvaluatedVersion
    deleted_at: datetime | None
    changed_at: datetime | None
    """Since when the badge has had this value."""
    evaluated_at: datetime | None
    """When the version was last evaluated."""


def badged_versions(session: TenantSession, model_name: str) -> list[BadgedVersion]:
    """Return all versions of a model with their badges, newest first, deleted ones included.

    An evaluated version whose record is incomplete by now has the badge incomplete, unless it fails.
    """
    records, badges = canonical_records, compliance_badges
    same = same_version(badges, records)
    could_not_be_read = and_(text("incomplete <> '[]'::jsonb"), badges.c.badge != Badge.FAILING.value)
    query = (
        select(
            records.c.version_number,
            records.c.lifecycle_stage,
            records.c.deployment_status,
            case((could_not_be_read, Badge.INCOMPLETE.value), else_=badges.c.badge),
            records.c.deleted_at,
            badges.c.changed_at,
            badges.c.evaluated_at,
        )
        .select_from(records.outerjoin(badges, same))
        .where(records.c.tenant_id == session.tenant_id, records.c.model_name == model_name)
        .order_by(records.c.version_number.desc())
    )
    return [
        BadgedVersion(EvaluatedVersion(number, stage, status, Badge(word) if word else None), *times)
        for number, stage, status, word, *times in session.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class VerdictTally:
    """Counts of verdicts and of waived gaps."""

    verdicts: Mapping[str, int]
    waived: Mapping[str, int]
    """Rule id to the number of versions whose open gap is waived."""


def verdict_tally(session: TenantSession, keys: list[Key], at: datetime) -> VerdictTally:
    """Count the verdicts on some versions of one model, and the gaps that are waived at a given time."""
    results = compliance_verdicts
    is_of_versions = and_(
        results.c.tenant_id == session.tenant_id,
        results.c.model_name.in_({name for name, _ in keys}),
        results.c.version_number.in_({number for _, number in keys}),
    )
    counted = session.execute(select(results.c.verdict, func.count()).where(is_of_versions).group_by(results.c.verdict))
    waived = session.execute(
        select(results.c.rule_id, func.count())
        .where(is_of_versions, results.c.verdict.in_(OPEN_VERDICTS), is_waived(results, at))
        .group_by(results.c.rule_id)
        .order_by(results.c.rule_id)
    )
    return VerdictTally(dict(counted.tuples().all()), dict(waived.tuples().all()))
