"""A cache of a tenant's verdict counts.

Counting takes seconds for millions of verdicts, and most syncs change none. Triggers move a revision with each change
of a record, a verdict or a badge, in the same transaction. Cached counts are current while the revision and the waivers
in force are those of the computation. They do not depend on the day: gaps are grouped by when they opened, and their
age is computed at read time. Counts that another release cached are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import and_, case, func, literal, select, update

from verifywise_mlflow.compliance.attention import Gap
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.pg_text_codec import Json
from verifywise_mlflow.persistence.queries.open_gaps import GapCohort, badge_counts, gap_cohorts, worst_gaps
from verifywise_mlflow.persistence.queries.verdict_counts import archived_counts, rule_counts
from verifywise_mlflow.persistence.repositories.waivers import waivers_in_force
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, compliance_counts


@dataclass(frozen=True, slots=True)
class VerdictCounts:
    """The counts of the verdicts and badges of a tenant's living versions."""

    verdicts: Mapping[str, Mapping[str, int]]
    """Rule id to verdict to number of versions."""
    archived: Mapping[str, Mapping[str, int]]
    """How many of these versions are archived."""
    opened: Mapping[str, Sequence[GapCohort]]
    """The gaps of each rule that no waiver covers."""
    worst: Mapping[str, Sequence[Gap]]
    """The most urgent gaps of each rule that no waiver covers."""
    badges: Sequence[tuple[str | None, int]]
    """Badge and number of versions; None counts those that were not evaluated."""


def cached_counts(session: TenantSession, at: datetime) -> VerdictCounts:
    """Return the current counts, from the cache when its revision is current. `at` is the current time.

    A role that may only read computes them each time that the cache is stale.
    """
    table = compliance_counts
    waiver_ids = [stored.waiver_id for stored in waivers_in_force(session, at)]
    is_current = and_(
        table.c.counted_revision == table.c.revision,
        table.c.waiver_ids == literal(waiver_ids, Json),
        table.c.counted_at <= at,  # if the clock went back, gaps are younger again
    )
    may_write = func.has_table_privilege(f"{SCHEMA}.{table.name}", "UPDATE")
    cached = session.execute(
        select(
            table.c.revision, case((is_current, table.c.counts)).label("counts"), may_write.label("may_write")
        ).where(table.c.tenant_id == session.tenant_id)
    ).first()
    if cached and (current := _current_format(cached.counts)):
        return current
    computed = compute_counts(session, at)
    if cached and cached.may_write:
        # If the revision has moved, something changed during the computation: the counts match no state.
        session.execute(
            update(table)
            .where(table.c.tenant_id == session.tenant_id, table.c.revision == cached.revision)
            .values(
                counted_revision=cached.revision,
                counted_at=at,
                waiver_ids=waiver_ids,
                counts=_CACHED.dump_python(_CachedCounts(_FORMAT, computed), mode="json"),
            )
        )
    return computed


def compute_counts(session: TenantSession, at: datetime) -> VerdictCounts:
    """Compute the counts, ignoring the cache."""
    verdicts: dict[str, dict[str, int]] = {}
    for count in rule_counts(session):
        verdicts.setdefault(count.rule_id, {})[count.verdict] = count.versions
    return VerdictCounts(
        verdicts,
        archived_counts(session),
        gap_cohorts(session, at),
        worst_gaps(session, at),
        list(badge_counts(session).items()),
    )


_REVISION: Final = 1
"""Raise it when the meaning of a count changes."""
_FORMAT: Final = fingerprint([_REVISION, TypeAdapter(VerdictCounts).json_schema()])


@dataclass(frozen=True, slots=True)
class _CachedCounts:
    format: str
    counts: VerdictCounts


_CACHED: Final = TypeAdapter(_CachedCounts)


def _current_format(cached: object) -> VerdictCounts | None:
    """Return the cached counts; None if there are none, or another release cached them."""
    try:
        decoded = _CACHED.validate_python(cached)
    except ValidationError:
        return None
    return decoded.counts if decoded.format == _FORMAT else None
