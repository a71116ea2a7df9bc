"""Which tenants are to be synced since what is known of them grows old. Pure: times are arguments.

It goes by when the tenant was last read, as the store has it, and not by the clock on the wall: so a sync that anyone
asked for counts, and a turn that fell into an outage is not lost. Where in its interval a tenant comes hangs on its
name, so tenants that were read together drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, inf

from verifywise_mlflow.defs.sensors.poll_cursor import is_turn

AT_LEAST = 10
"""Syncs that a tick asks for where so many are overdue."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How old what is known of a tenant is, and may become."""

    read_at: datetime | None
    """Null: never."""
    interval: timedelta


def grown_old(known: Mapping[str, Knowledge], now: datetime, tick: timedelta) -> list[str]:
    """Return the tenants to be synced before their interval is over, those first that are the longest overdue.

    Of many that have grown old together, say in an outage, a tick takes as many as twice the number that come in an
    ordinary tick, and ``AT_LEAST`` so many, so that the syncs that sensors and people ask for are not held up.
    """
    overdue: list[tuple[float, str]] = []
    for tenant_id, knowledge in known.items():
        age = now - knowledge.read_at if knowledge.read_at else None
        if age is None or _is_due(tenant_id, age, knowledge.interval, now, tick):
            overdue.append((inf if age is None else age / knowledge.interval, tenant_id))
    ordinary = sum(min(tick / knowledge.interval, 1.0) for knowledge in known.values())
    overdue.sort(key=lambda item: (-item[0], item[1]))
    return [tenant_id for _, tenant_id in overdue[: max(ceil(2 * ordinary), AT_LEAST)]]


def _is_due(tenant_id: str, age: timedelta, interval: timedelta, now: datetime, tick: timedelta) -> bool:
    """Whether a tenant is to be read now.

    A sync reads anew what is older than nine tenths of its interval; the last tick in which it is not too late ends
    the window. If the tenant has its turn within that window, it waits for it. If not, it is read as soon as the
    window begins, and so, from round to round, comes to its turn: within a day for an interval of an hour.
    """
    left = interval - tick - age
    if age < 0.9 * interval:
        return False
    if left <= timedelta(0):
        return True
    round_ = 0.95 * interval
    has_come = is_turn(tenant_id, round_, last=now - tick, now=now)
    # An interval may be as long as timedelta can say, which is longer than the calendar.
    will_come = is_turn(tenant_id, round_, last=now, now=now + min(left, timedelta(days=365)))
    return has_come or not will_come
