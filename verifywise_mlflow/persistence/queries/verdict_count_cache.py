"""A cache of a tenant's verdict counts.

Counting takes seconds for millions of verdicts, and most syncs change no verdict or a few verdicts. With each change of
a record, a verdict or a badge, triggers raise two revisions in the same transaction: the tenant's revision, and the
revision of the bucket with the version's key (``count_buckets``). Cached counts are current while the revision and the
waivers in force are the same as at the computation. They do not depend on the day: gaps are grouped by the time when
they opened, and their age is computed at read time. If gaps opened at too many different times, some gaps are counted
by age group. They are counted again before one of them changes its group. Counts that another release cached are
ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import and_, case, func, literal, or_, select, update

from verifywise_mlflow.compliance.gap_urgency import Gap
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.pg_text_codec import Json, unescape
from verifywise_mlflow.persistence.queries.count_buckets import BucketCounts, bucket_counts
from verifywise_mlflow.persistence.queries.gap_ages import GapCohort, gap_texts
from verifywise_mlflow.persistence.queries.range_counts import (
    RangeCounts,
    count_ranges,
    limit_times,
    sum_counts,
    to_time,
    whole_range,
)
from verifywise_mlflow.persistence.repositories.waivers import waivers_in_force
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, compliance_counts

MAX_TIMES_PER_RULE: Final = 200
"""If gaps of a rule opened at more times than this, the counts of a tenant group them by age instead of by time."""


@dataclass(frozen=True, slots=True)
class VerdictCounts:
    """The counts of the verdicts and badges of a tenant's living versions."""

    verdicts: Mapping[str, Mapping[str, int]]
    """Rule id to verdict to number of versions."""
    archived: Mapping[str, Mapping[str, int]]
    """Like ``verdicts``, but only the archived ones among these versions."""
    opened: Mapping[str, Sequence[GapCohort]]
    """The gaps of each rule that no waiver covers."""
    worst: Mapping[str, Sequence[Gap]]
    """The most urgent of these gaps, by rule."""
    badges: Sequence[tuple[str | None, int]]
    """Each badge and its number of versions. None is the badge of versions that were not evaluated."""


def cached_counts(session: TenantSession, at: datetime) -> VerdictCounts:
    """Return the current counts, from the cache if the cache's revision is current. ``at`` is the current time.

    Otherwise the stale buckets are counted. A role that may only read stores no counts, so it counts these buckets each
    time.
    """
    table = compliance_counts
    waiver_ids = [stored.waiver_id for stored in waivers_in_force(session, at)]
    is_current = and_(
        table.c.counted_revision == table.c.revision,
        table.c.waiver_ids == literal(waiver_ids, Json),
        table.c.counted_at <= at,  # after the clock was set back, gaps are younger than counted
        or_(table.c.valid_until.is_(None), table.c.valid_until > at),
    )
    may_write = func.has_table_privilege(f"{SCHEMA}.{table.name}", "UPDATE")
    cached = session.execute(
        select(
            table.c.revision, case((is_current, table.c.counts)).label("counts"), may_write.label("may_write")
        ).where(table.c.tenant_id == session.tenant_id)
    ).first()
    if cached and (current := _current_format(cached.counts)):
        return current
    may_store = cached is not None and cached.may_write
    buckets = bucket_counts(session, fingerprint([_FORMAT, waiver_ids]), at, may_write=may_store)
    computed, valid_until = _summed(session, buckets, at)
    if cached and may_store:
        # If the revision is another one now, something changed during the computation, and the counts match no state.
        session.execute(
            update(table)
            .where(table.c.tenant_id == session.tenant_id, table.c.revision == cached.revision)
            .values(
                counted_revision=cached.revision,
                counted_at=at,
                valid_until=valid_until,
                waiver_ids=waiver_ids,
                counts=_CACHED.dump_python(_CachedCounts(_FORMAT, computed), mode="json"),
            )
        )
    return computed


def compute_counts(session: TenantSession, at: datetime) -> VerdictCounts:
    """Compute the counts, ignoring the cache."""
    counted = [BucketCounts(counts, None) for counts in count_ranges(session, [whole_range()], at)]
    return _summed(session, counted, at)[0]


def _summed(
    session: TenantSession, buckets: Sequence[BucketCounts], at: datetime
) -> tuple[VerdictCounts, datetime | None]:
    """Return the counts of all buckets, and until when they are valid."""
    total = sum_counts(bucket.counts for bucket in buckets)
    ends = [limit_times(total, at, MAX_TIMES_PER_RULE), *(bucket.valid_until for bucket in buckets)]
    counts = VerdictCounts(
        total.verdicts,
        total.archived,
        {
            rule_id: [GapCohort(to_time(opened), count) for opened, count in times]
            for rule_id, times in total.opened.items()
        },
        _worst_gaps(session, total),
        list(total.by_badge().items()),
    )
    return counts, min((end for end in ends if end is not None), default=None)


def _worst_gaps(session: TenantSession, total: RangeCounts) -> dict[str, list[Gap]]:
    """Return the worst gaps with their texts, which buckets do not have."""
    texts = gap_texts(
        session, {(unescape(name), -number) for gaps in total.worst.values() for _, _, _, name, number, *_ in gaps}
    )

    def gaps_of(rule_id: str) -> Iterator[Gap]:
        for _, opened, _, stored_name, number, stage, verdict in total.worst[rule_id]:
            name = unescape(stored_name)
            # A verdict that changed since the count has another reason or none. The change raised the revision, so the
            # counts are not stored.
            reason = texts.get((name, -number, rule_id), "")
            yield Gap(rule_id, name, -number, stage, verdict, reason, to_time(opened))

    return {rule_id: list(gaps_of(rule_id)) for rule_id in total.worst}


_REVISION: Final = 2
"""The revision of the cache's format. Raise it when the meaning of a count changes."""
_FORMAT: Final = fingerprint([_REVISION, TypeAdapter(VerdictCounts).json_schema()])


@dataclass(frozen=True, slots=True)
class _CachedCounts:
    format: str
    counts: VerdictCounts


_CACHED: Final = TypeAdapter(_CachedCounts)


def _current_format(cached: object) -> VerdictCounts | None:
    """Return the cached counts; None if there are no cached counts, or if another release cached them."""
    try:
        decoded = _CACHED.validate_python(cached)
    except ValidationError:
        return None
    return decoded.counts if decoded.format == _FORMAT else None
