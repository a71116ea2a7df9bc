"""Deterministic jitter: spreads tenants over an interval by a hash of their names."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import lru_cache


@lru_cache(maxsize=1 << 16)  # a tick computes a hash several times per tenant
def tenant_hash(tenant_id: str) -> int:
    """Return a number below 2 ** 32 that depends on the tenant's name only."""
    return int.from_bytes(hashlib.sha256(tenant_id.encode()).digest()[:4])


def is_turn(tenant_id: str, interval: timedelta, *, last: datetime | None, now: datetime) -> bool:
    """Return whether the tenant's turn fell between the last tick and now; True before the first tick.

    Each tenant has one turn per interval. Its offset within the interval comes from the tenant's name, so tenants with
    the same interval do not all have their turn at once.
    """
    if last is None:
        return True
    seconds = interval.total_seconds()
    offset = tenant_hash(tenant_id) % seconds
    return (now.timestamp() + offset) // seconds > (last.timestamp() + offset) // seconds
