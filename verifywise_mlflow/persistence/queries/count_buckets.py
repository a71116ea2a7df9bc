"""Buckets: ranges of a tenant's keys whose counts are cached, so that a change costs only the count of one bucket.

Triggers raise the revision of the buckets that a statement changed. A stale bucket is counted again from its rows. A
bucket with too many versions is divided. Buckets are ranges rather than hashes of the keys: a bulk writer's batch is
sorted by key, so it invalidates one or two buckets, and a count needs no other index than the primary key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, case, insert, or_, select, tuple_, update

from verifywise_mlflow.persistence.queries.range_counts import (
    KeyRange,
    RangeCounts,
    count_ranges,
    key_ranges,
    limit_times,
    range_starts,
    whole_range,
)
from verifywise_mlflow.persistence.row_mapping import Key, rows_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import compliance_count_buckets, compliance_counts, revisions

VERSIONS_PER_BUCKET: Final = 500
"""The maximum number of versions in a new bucket. A bucket with twice this number is divided when it is counted
again."""
_BUCKETS_PER_STATEMENT: Final = 32


@dataclass(frozen=True, slots=True)
class BucketCounts:
    """The counts of a bucket, and the time until which they are valid; None if age does not invalidate them."""

    counts: RangeCounts
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class _Bucket:
    key_range: KeyRange
    revision: int
    stored: BucketCounts | None
    """None if the bucket is stale."""


def bucket_counts(session: TenantSession, basis: str, at: datetime, *, may_write: bool) -> list[BucketCounts]:
    """Return the counts of all buckets of the tenant. Stale buckets are counted again, and stored if ``may_write``.

    Args:
        session: the tenant's transaction.
        basis: a digest of what the counts depend on besides rows and the time.
        at: the current time.
        may_write: whether the role may write the buckets.
    """
    buckets = _stored_buckets(session, basis, at)
    if may_write and _starts_of_stale(session, buckets):
        _divide(session, basis, at)
        buckets = _stored_buckets(session, basis, at)
    if not buckets:
        return [BucketCounts(*_limited(counts, at)) for counts in count_ranges(session, [whole_range()], at)]
    counted = [bucket.stored for bucket in buckets if bucket.stored]
    stale = [bucket for bucket in buckets if bucket.stored is None]
    for start in range(0, len(stale), _BUCKETS_PER_STATEMENT):
        batch = stale[start : start + _BUCKETS_PER_STATEMENT]
        counts = count_ranges(session, [bucket.key_range for bucket in batch], at)
        new = [BucketCounts(*_limited(of_bucket, at)) for of_bucket in counts]
        if may_write:
            _store(session, batch, new, basis, at)
        counted += new
    return counted


def _limited(counts: RangeCounts, at: datetime) -> tuple[RangeCounts, datetime | None]:
    valid_until = limit_times(counts, at)
    return counts, valid_until


def _stored_buckets(session: TenantSession, basis: str, at: datetime) -> list[_Bucket]:
    table = compliance_count_buckets
    is_current = and_(
        table.c.counted_revision == table.c.revision,
        table.c.basis == basis,
        table.c.counted_at <= at,  # after the clock was set back, gaps are younger than counted
        or_(table.c.valid_until.is_(None), table.c.valid_until > at),
    )
    rows = session.execute(
        select(
            *(table.c.first_model, table.c.first_version, table.c.revision, table.c.valid_until),
            case((is_current, table.c.counts)).label("counts"),
        )
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.first_model, table.c.first_version)
    ).all()
    ranges = key_ranges([(row.first_model, row.first_version) for row in rows])
    return [
        _Bucket(
            key_range,
            row.revision,
            None if row.counts is None else BucketCounts(RangeCounts.from_json(row.counts), row.valid_until),
        )
        for key_range, row in zip(ranges, rows, strict=True)
    ]


def _starts_of_stale(session: TenantSession, buckets: Sequence[_Bucket]) -> dict[Key, list[Key]]:
    """Return, for each stale bucket that is too large, the keys with which new buckets begin."""
    ranges = [bucket.key_range for bucket in buckets if bucket.stored is None]
    starts = range_starts(session, ranges, VERSIONS_PER_BUCKET) if ranges else []
    return {key_range.first: keys for key_range, keys in zip(ranges, starts, strict=True) if keys}


def _divide(session: TenantSession, basis: str, at: datetime) -> None:
    """Divide the stale buckets that are too large.

    The tenant's row is locked in the same way as by the triggers. So no trigger looks for the bucket of a key during
    the division, and only one transaction divides. Counts of the undivided bucket become invalid, so its revision is
    raised.
    """
    counts, table = compliance_counts, compliance_count_buckets
    session.execute(select(counts.c.revision).where(counts.c.tenant_id == session.tenant_id).with_for_update())
    starts = _starts_of_stale(session, _stored_buckets(session, basis, at))
    new = [
        {"tenant_id": session.tenant_id, "first_model": name, "first_version": number}
        for keys in starts.values()
        for name, number in keys
    ]
    if not new:
        return
    session.execute(insert(table).values(revision=revisions.next_value()), new)
    session.execute(
        update(table)
        .where(
            table.c.tenant_id == session.tenant_id,
            tuple_(table.c.first_model, table.c.first_version).in_(list(starts)),
        )
        .values(revision=revisions.next_value())
    )


def _store(
    session: TenantSession, buckets: Sequence[_Bucket], counted: Sequence[BucketCounts], basis: str, at: datetime
) -> None:
    """Store the counts of the buckets whose revision is still the same. Other counts match no state of the rows."""
    table = compliance_count_buckets
    rows = rows_of(
        table,
        {
            "first_model": [bucket.key_range.first[0] for bucket in buckets],
            "first_version": [bucket.key_range.first[1] for bucket in buckets],
            "revision": [bucket.revision for bucket in buckets],
            "valid_until": [item.valid_until for item in counted],
            "counts": [item.counts.to_json() for item in counted],
        },
    )
    session.execute(
        update(table)
        .where(
            table.c.tenant_id == session.tenant_id,
            *(table.c[name] == rows.c[name] for name in ("first_model", "first_version", "revision")),
        )
        .values(
            counted_revision=rows.c.revision,
            counted_at=at,
            basis=basis,
            valid_until=rows.c.valid_until,
            counts=rows.c.counts,
        )
    )
