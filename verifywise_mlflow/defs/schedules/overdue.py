"""Selects tenants whose data is about to become older than their interval allows. Pure: times are arguments.

The age counts from the tenant's last sync in the store, not from the wall clock. A sync that a person or a sensor
requested therefore counts, and a turn that fell into an outage is not lost. The tenant's name determines its turn
within the interval, so tenants that were read together drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, inf

from verifywise_mlflow.defs.jitter import is_turn

MIN_TICK_LIMIT = 10
"""The number of syncs that a tick may always request, even if an ordinary tick would request fewer."""


@dataclass(frozen=True, slots=True)
class LastRead:
    """When a tenant was last read, and the age at which it must be read again."""

    read_at: datetime | None
    """The time of the last read; None if the tenant was never read."""
    interval: timedelta


def overdue_tenants(last_reads: Mapping[str, LastRead], now: datetime, tick: timedelta) -> list[str]:
    """Return the tenants to sync in this tick, most overdue first, so that each is read within its interval.

    The limit is twice the number of syncs in an ordinary tick, but never below ``MIN_TICK_LIMIT``. So after an outage,
    when all tenants are overdue at once, the syncs that sensors and people request are not held up.
    """
    overdue: list[tuple[float, str]] = []
    for tenant_id, last in last_reads.items():
        age = now - last.read_at if last.read_at else None
        if age is None or _is_due(tenant_id, age, last.interval, now, tick):
            overdue.append((inf if age is None else age / last.interval, tenant_id))
    ordinary = sum(min(tick / last.interval, 1.0) for last in last_reads.values())
    overdue.sort(key=lambda item: (-item[0], item[1]))
    return [tenant_id for _, tenant_id in overdue[: max(ceil(2 * ordinary), MIN_TICK_LIMIT)]]


def _is_due(tenant_id: str, age: timedelta, interval: timedelta, now: datetime, tick: timedelta) -> bool:
    """Return whether a tenant must be read now.

    A sync rereads data that is older than nine tenths of the interval. The tenant is due from that age until the last
    tick that can still meet the interval. If the tenant's turn falls into this window, the tenant is read on its turn.
    Otherwise it is read when the window opens. So each read comes a little earlier than the interval, until the window
    contains the turn: within a day for an interval of an hour.
    """
    remaining = interval - tick - age
    if age < 0.9 * interval:
        return False
    if remaining <= timedelta(0):
        return True
    round_length = 0.95 * interval
    turn_has_come = is_turn(tenant_id, round_length, last=now - tick, now=now)
    # Without the limit, a very long interval would move `now` past the last date that datetime can represent.
    turn_will_come = is_turn(tenant_id, round_length, last=now, now=now + min(remaining, timedelta(days=365)))
    return turn_has_come or not turn_will_come
