"""The decisions of a polling sensor in a tick: due tenants, back-off with jitter, deduplication, the limit per tick.

Pure: times are arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from verifywise_mlflow.defs.jitter import is_turn, tenant_hash
from verifywise_mlflow.defs.sensors.poll_cursor import FailureStreak, PollCursor, failing_since
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK

MAX_BACK_OFF = timedelta(minutes=15)
"""The longest back-off, unless the tenant's interval is longer; jitter adds up to a quarter. So a server that recovers
is noticed soon."""

_YEAR = timedelta(days=365)

FAILURES_BEFORE_REPORT = 3
"""After this many consecutive failures, the server's page shows that it cannot be read. A restart may cause two
failures."""


@dataclass(frozen=True, slots=True)
class PollSucceeded:
    """The server was read."""

    change_token: str | None
    """Identifies the change that a sync would find, so that requests can be deduplicated; None if nothing changed."""
    unreported: Collection[str] = ()
    """The models whose change the tenant's webhooks have not reported so far, although they should."""


@dataclass(frozen=True, slots=True)
class PollFailed:
    """The server was polled and could not be read. This failure says nothing about the server's content."""

    reason: str


PollResult = PollSucceeded | PollFailed


def due_tenants(intervals: Mapping[str, timedelta], cursor: PollCursor, now: datetime) -> list[str]:
    """Return the tenants to poll, in polling order.

    Tenants that the last tick left pending come first. Failing tenants come last: they may hold a thread until their
    timeout.
    """
    pending = [tenant_id for tenant_id in dict.fromkeys(cursor.pending) if tenant_id in intervals]
    timestamp = now.timestamp()
    due = [
        tenant_id
        for tenant_id, interval in intervals.items()
        if (
            cursor.failing[tenant_id].retry_at <= timestamp
            if tenant_id in cursor.failing
            else is_turn(tenant_id, interval, last=cursor.ticked_at, now=now)
        )
    ]
    due.sort(key=lambda tenant_id: (tenant_id in cursor.failing, tenant_hash(tenant_id)))
    return list(dict.fromkeys([*pending, *due]))


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a tick."""

    cursor: PollCursor
    """The cursor for the next tick."""
    tenants_to_sync: tuple[str, ...]
    awaiting_sync: frozenset[str]
    """Tenants with a change whose sync is already queued or running."""
    became_unreachable: Mapping[str, str]
    """Tenants that have now failed ``FAILURES_BEFORE_REPORT`` times in a row, with the reason."""
    recovered: Mapping[str, FailureStreak]
    """Tenants that were reported as unreachable and can be read again, with the streak that ended."""
    summary: str
    """A sentence for the sensor's page."""


def decide(
    cursor: PollCursor,
    now: datetime,
    intervals: Mapping[str, timedelta],
    due: Sequence[str],
    results: Mapping[str, PollResult],
    in_flight: Collection[str],
) -> Decision:
    """Return the outcome of a tick.

    A sync is requested once for each change: if the sync fails, the next schedule requests another sync, and the ticks
    do not. A tenant stays pending if a sync of it is in flight or the tick has reached ``MAX_SYNCS_PER_TICK``. A tenant
    that left ``intervals`` is dropped from the cursor.
    """
    changed = [
        tenant_id
        for tenant_id, result in results.items()
        if isinstance(result, PollSucceeded)
        and result.change_token is not None
        and result.change_token != cursor.requested.get(tenant_id)
    ]
    awaiting_sync = frozenset(tenant_id for tenant_id in changed if tenant_id in in_flight)
    over_limit = [tenant_id for tenant_id in changed if tenant_id not in awaiting_sync][MAX_SYNCS_PER_TICK:]
    postponed = awaiting_sync.union(over_limit)
    settled = {tenant_id: result for tenant_id, result in results.items() if tenant_id not in postponed}
    next_cursor = _next_cursor(cursor, now, intervals, due, settled)
    tenants_to_sync = tuple(tenant_id for tenant_id in changed if tenant_id not in postponed)
    return Decision(
        cursor=next_cursor,
        tenants_to_sync=tenants_to_sync,
        awaiting_sync=awaiting_sync,
        became_unreachable={
            tenant_id: result.reason
            for tenant_id, result in settled.items()
            if isinstance(result, PollFailed) and next_cursor.failing[tenant_id].failures == FAILURES_BEFORE_REPORT
        },
        recovered={
            tenant_id: cursor.failing[tenant_id]
            for tenant_id, result in settled.items()
            if isinstance(result, PollSucceeded)
            and tenant_id in cursor.failing
            and cursor.failing[tenant_id].failures >= FAILURES_BEFORE_REPORT
        },
        summary=_summary(next_cursor, due, results, in_flight, tenants_to_sync),
    )


def _next_cursor(
    cursor: PollCursor,
    now: datetime,
    intervals: Mapping[str, timedelta],
    due: Sequence[str],
    settled: Mapping[str, PollResult],
) -> PollCursor:
    requested = {tenant_id: change for tenant_id, change in cursor.requested.items() if tenant_id in intervals}
    failing = {tenant_id: streak for tenant_id, streak in cursor.failing.items() if tenant_id in intervals}
    for tenant_id, result in settled.items():
        if isinstance(result, PollFailed):
            failing[tenant_id] = _extended(failing.get(tenant_id), tenant_id, intervals[tenant_id], now)
            continue
        failing.pop(tenant_id, None)
        requested.pop(tenant_id, None)
        if result.change_token is not None:
            requested[tenant_id] = result.change_token
    pending = tuple(tenant_id for tenant_id in due if tenant_id not in settled)
    return PollCursor(ticked_at=now, pending=pending, failing=failing, requested=requested)


def back_off(tenant_id: str, interval: timedelta, failures: int) -> timedelta:
    """Return how long to wait before polling a tenant again after consecutive failures: exponential, with jitter.

    The interval doubles with each failure up to ``MAX_BACK_OFF``. Jitter adds up to a quarter, by the tenant's name, so
    that tenants that failed together in a network outage are not all polled again together.
    """
    if interval < MAX_BACK_OFF:
        interval = min(interval * (1 << min(failures - 1, 10)), MAX_BACK_OFF)
    # An interval may be as long as timedelta allows; a quarter more would overflow.
    return min(interval, _YEAR) * (1 + tenant_hash(tenant_id) / 2**32 / 4)


def _summary(
    next_cursor: PollCursor,
    due: Sequence[str],
    results: Mapping[str, PollResult],
    in_flight: Collection[str],
    tenants_to_sync: Collection[str],
) -> str:
    failed = sum(isinstance(result, PollFailed) for result in results.values())
    syncing = sum(tenant_id in in_flight for tenant_id in next_cursor.pending)
    over_limit = sum(tenant_id in results and tenant_id not in in_flight for tenant_id in next_cursor.pending)
    not_polled = len(next_cursor.pending) - syncing - over_limit
    parts = [
        f"{_count(len(due), 'tenant')} due: read {len(results) - failed}, requested "
        f"{_count(len(tenants_to_sync), 'sync')}"
    ]
    parts += [f"could not read {failed}"] if failed else []
    parts += [f"did not get to {not_polled}, which come first in the next tick"] if not_polled else []
    parts += [f"postponed {over_limit} with changes (limit: {MAX_SYNCS_PER_TICK} syncs per tick)"] if over_limit else []
    parts += [f"{syncing} with a sync in flight will be polled after it"] if syncing else []
    if next_cursor.failing:
        longest = sorted(next_cursor.failing.items(), key=lambda item: item[1].since)[:3]
        names = ", ".join(
            f"{tenant_id} ({_count(streak.failures, 'failure')} since {failing_since(streak):%Y-%m-%d %H:%M} UTC)"
            for tenant_id, streak in longest
        )
        parts.append(f"{len(next_cursor.failing)} failing and backing off, longest: {names}")
    return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _extended(streak: FailureStreak | None, tenant_id: str, interval: timedelta, now: datetime) -> FailureStreak:
    """Return a streak with one more failure."""
    failures = streak.failures + 1 if streak else 1
    retry_at = now + back_off(tenant_id, interval, failures)
    return FailureStreak(failures, streak.since if streak else int(now.timestamp()), int(retry_at.timestamp()))
