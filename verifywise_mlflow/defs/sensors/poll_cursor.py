"""Which tenants a tick of a sensor asks, in which order, and what it remembers. Pure: times are arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

LONGEST_BACK_OFF = timedelta(minutes=15)
"""A tenant that cannot be read is asked again after this at the latest, unless its interval is longer, and a quarter
more by its name. So a server that comes back is noticed."""

_YEAR = timedelta(days=365)

SILENT_AFTER = 3
"""Times in a row that a tenant could not be read, after which that is told on its server's page."""

SYNCS_A_TICK = 50
"""Syncs that a tick asks for: Dagster takes a fifth of a second for each, and so long the sensor's next tick waits."""


class Failing(NamedTuple):
    """How long a tenant could not be read. Seconds since 1970, UTC; an array in the cursor, where every byte counts."""

    times: int
    """In a row."""
    since: int
    again_at: int
    """Not to be asked before."""


class Cursor(BaseModel):
    """What one tick leaves to the next: nothing for a tenant that is well, some hundred bytes for one that is not."""

    model_config = ConfigDict(frozen=True)

    ticked_at: AwareDatetime | None = None
    """Up to when the tenants' turns have been taken; null for none yet."""
    owed: tuple[str, ...] = ()
    """Those whose turn had come, and who could not be asked: the time was up, or a sync of theirs was under way."""
    failing: Mapping[str, Failing] = Field(default_factory=dict)
    """Those that could not be read when they were last asked."""
    told: Mapping[str, str] = Field(default_factory=dict)
    """The mark of the news for which a sync was last asked for, until a sync has seen it."""

    @classmethod
    def read(cls, written: str | None) -> Cursor:
        """Return the cursor that a tick left; a new one where there is none, or one that is not understood."""
        try:
            return cls.model_validate_json(written or "{}")
        except ValidationError:
            return cls()

    def written(self) -> str:
        """Return the cursor as JSON, without what is empty."""
        return self.model_dump_json(exclude_defaults=True)


@dataclass(frozen=True, slots=True)
class Answered:
    """The server was read."""

    news: str | None
    """A mark of what a sync would find new; null where it would find nothing."""


@dataclass(frozen=True, slots=True)
class Unread:
    """The server was asked and could not be read, which says nothing about what is in it."""

    reason: str


Answer = Answered | Unread


def due(intervals: Mapping[str, timedelta], cursor: Cursor, now: datetime) -> list[str]:
    """Return the tenants whose turn has come, in the order in which they are to be asked.

    First whom the last tick still owed an answer; then those that were well; last those that were not, which may
    hold a place until their time is up.
    """
    owed = [tenant_id for tenant_id in dict.fromkeys(cursor.owed) if tenant_id in intervals]
    moment = now.timestamp()
    come = [
        tenant_id
        for tenant_id, interval in intervals.items()
        if (
            cursor.failing[tenant_id].again_at <= moment
            if tenant_id in cursor.failing
            else is_turn(tenant_id, interval, last=cursor.ticked_at, now=now)
        )
    ]
    come.sort(key=lambda tenant_id: (tenant_id in cursor.failing, _number(tenant_id)))
    return list(dict.fromkeys([*owed, *come]))


@dataclass(frozen=True, slots=True)
class Decision:
    """What a tick comes to."""

    cursor: Cursor
    """For the next tick."""
    sync: tuple[str, ...]
    """The tenants to ask a sync for."""
    waits: frozenset[str]
    """Those that have news and a sync already, which is queued or under way."""
    fell_silent: Mapping[str, str]
    """Those that could not be read for the third time in a row, with the reason: twice may be a restart."""
    came_back: Mapping[str, Failing]
    """Those that can be read again after that, and how long they could not be."""
    summary: str
    """What became of the tenants that were due, in a sentence."""


def decide(
    cursor: Cursor,
    now: datetime,
    intervals: Mapping[str, timedelta],
    due: Sequence[str],
    answers: Mapping[str, Answer],
    in_flight: Collection[str],
) -> Decision:
    """Return what a tick comes to.

    A sync is asked for where there is news for which none was asked for yet: one that was asked for and fails is not
    asked for again with each tick, but by the next schedule. Where a sync is under way, or too many would be asked for
    at once, the tenant is owed another look. Who left ``intervals`` leaves the cursor, too.
    """
    news = [
        tenant_id
        for tenant_id, answer in answers.items()
        if isinstance(answer, Answered) and answer.news is not None and answer.news != cursor.told.get(tenant_id)
    ]
    waits = frozenset(tenant_id for tenant_id in news if tenant_id in in_flight)
    put_off = waits.union([tenant_id for tenant_id in news if tenant_id not in waits][SYNCS_A_TICK:])
    settled = {tenant_id: answer for tenant_id, answer in answers.items() if tenant_id not in put_off}
    left = _after(cursor, now, intervals, due, settled)
    sync = tuple(tenant_id for tenant_id in news if tenant_id not in put_off)
    return Decision(
        cursor=left,
        sync=sync,
        waits=waits,
        fell_silent={
            tenant_id: answer.reason
            for tenant_id, answer in settled.items()
            if isinstance(answer, Unread) and left.failing[tenant_id].times == SILENT_AFTER
        },
        came_back={
            tenant_id: cursor.failing[tenant_id]
            for tenant_id, answer in settled.items()
            if isinstance(answer, Answered)
            and tenant_id in cursor.failing
            and cursor.failing[tenant_id].times >= SILENT_AFTER
        },
        summary=_summary(left, due, answers, in_flight, sync),
    )


def _after(
    cursor: Cursor,
    now: datetime,
    intervals: Mapping[str, timedelta],
    due: Sequence[str],
    answers: Mapping[str, Answer],
) -> Cursor:
    told = {tenant_id: mark for tenant_id, mark in cursor.told.items() if tenant_id in intervals}
    failing = {tenant_id: how for tenant_id, how in cursor.failing.items() if tenant_id in intervals}
    for tenant_id, answer in answers.items():
        if isinstance(answer, Unread):
            failing[tenant_id] = _failed_again(tenant_id, intervals[tenant_id], failing.get(tenant_id), now)
            continue
        failing.pop(tenant_id, None)
        told.pop(tenant_id, None)
        if answer.news is not None:
            told[tenant_id] = answer.news
    owed = tuple(tenant_id for tenant_id in due if tenant_id not in answers)
    return Cursor(ticked_at=now, owed=owed, failing=failing, told=told)


def is_turn(tenant_id: str, interval: timedelta, *, last: datetime | None, now: datetime) -> bool:
    """Whether a tenant's turn has come since the last tick.

    Turns come once an interval, at a moment within it that hangs on the tenant's name, so that the tenants
    of one interval do not all come at once.
    """
    if last is None:
        return True
    seconds = interval.total_seconds()
    offset = _number(tenant_id) % seconds
    return (now.timestamp() + offset) // seconds > (last.timestamp() + offset) // seconds


def back_off(tenant_id: str, interval: timedelta, times: int) -> timedelta:
    """Return how long not to ask a tenant that could not be read so many times in a row.

    The interval, doubled each time up to ``LONGEST_BACK_OFF``; and up to a quarter more, which hangs on the name, so
    that those that a lost network made fail together are not all asked again together.
    """
    if interval < LONGEST_BACK_OFF:
        interval = min(interval * (1 << min(times - 1, 10)), LONGEST_BACK_OFF)
    # An interval may be as long as timedelta can say, and a quarter more of that is more than it can.
    return min(interval, _YEAR) * (1 + _number(tenant_id) / 2**32 / 4)


def since_when(failing: Failing) -> datetime:
    """Return since when a tenant could not be read."""
    return datetime.fromtimestamp(failing.since, UTC)


def _summary(
    left: Cursor, due: Sequence[str], answers: Mapping[str, Answer], in_flight: Collection[str], sync: Collection[str]
) -> str:
    unread = sum(isinstance(answer, Unread) for answer in answers.values())
    syncing = sum(tenant_id in in_flight for tenant_id in left.owed)
    waiting = sum(tenant_id in answers and tenant_id not in in_flight for tenant_id in left.owed)
    not_reached = len(left.owed) - syncing - waiting
    parts = [f"{len(due)} tenants were due: {len(answers) - unread} answered, a sync is asked for for {len(sync)}"]
    parts += [f"{unread} could not be read"] if unread else []
    parts += [f"{not_reached} were not reached and come first in the next tick"] if not_reached else []
    parts += [f"{waiting} have news and wait, since only {SYNCS_A_TICK} syncs are asked for a tick"] if waiting else []
    parts += [f"{syncing} have a sync under way and are looked at after it"] if syncing else []
    if left.failing:
        longest = sorted(left.failing.items(), key=lambda item: item[1].since)[:3]
        names = ", ".join(
            f"{tenant_id} ({how.times} times since {since_when(how):%Y-%m-%d %H:%M} UTC)" for tenant_id, how in longest
        )
        parts.append(f"{len(left.failing)} could not be read when they were last asked and back off, longest: {names}")
    return "; ".join(parts)


def _failed_again(tenant_id: str, interval: timedelta, before: Failing | None, now: datetime) -> Failing:
    times = before.times + 1 if before else 1
    again_at = now + back_off(tenant_id, interval, times)
    return Failing(times, before.since if before else int(now.timestamp()), int(again_at.timestamp()))


def _number(tenant_id: str) -> int:
    """Return a number below 2 ** 32 that hangs on the name alone."""
    return int.from_bytes(hashlib.sha256(tenant_id.encode()).digest()[:4])
