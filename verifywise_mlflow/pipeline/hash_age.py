"""The age from which a file is hashed again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from verifywise_mlflow.persistence.repositories.manifests import RehashBefore
from verifywise_mlflow.pipeline.context import StageContext

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rehash_before(context: StageContext) -> RehashBefore:
    """Return the times before which a hash counts as too old."""
    if context.options.rehash:
        return RehashBefore(context.now, context.now)
    if context.options.is_targeted:  # a targeted sync must not wait for files that are only read because of their age
        return RehashBefore(_LONG_AGO, _LONG_AGO)
    # Nine tenths of the interval, as in StageContext.is_reconcile_due.
    intervals = context.tenant.intervals
    return RehashBefore(context.now - 0.9 * intervals.rehash, context.now - 0.9 * intervals.rehash_non_production)
