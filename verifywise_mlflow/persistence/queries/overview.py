"""Overview of a tenant: counts, badges and the most urgent gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from sqlalchemy import func, select

from verifywise_mlflow.compliance.gap_urgency import UrgentGap, most_urgent
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.persistence.queries.gap_ages import WORST_GAPS_PER_RULE
from verifywise_mlflow.persistence.queries.gaps import urgent_gaps
from verifywise_mlflow.persistence.queries.verdict_count_cache import cached_counts
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import registered_models


@dataclass(frozen=True, slots=True)
class Overview:
    """The living models and versions of a tenant, their badges, and the most urgent gaps."""

    models: int
    versions: int
    badges: dict[str, int]
    urgent: list[UrgentGap]


def overview(
    store: Store, tenant_id: str, severities: Mapping[str, Severity], at: datetime, *, urgent: int = 5
) -> Overview:
    """Return the overview of a tenant at the current time, with up to ``urgent`` gaps.

    ``severities`` are by rule ID.
    """
    models = registered_models
    with store.begin(tenant_id) as session:
        counts = cached_counts(session, at)
        is_listed = urgent <= WORST_GAPS_PER_RULE
        return Overview(
            models=session.scalar(
                select(func.count()).where(models.c.tenant_id == tenant_id, models.c.deleted_at.is_(None))
            )
            or 0,
            versions=sum(count for _, count in counts.badges),
            badges={badge: count for badge, count in counts.badges if badge is not None},
            urgent=most_urgent(chain.from_iterable(counts.worst.values()), severities, urgent)
            if is_listed
            else urgent_gaps(session, at, severities, urgent),
        )
