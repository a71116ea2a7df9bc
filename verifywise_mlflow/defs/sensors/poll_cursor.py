"""The cursor of a polling sensor: the state that one tick stores for the next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import AwareDatetime, Field

from verifywise_mlflow.defs.sensors.cursor import Cursor


class FailureStreak(NamedTuple):
    """Consecutive failed polls of a tenant. Times are in seconds since 1970, UTC.

    The cursor stores it as an array: with many failing tenants every byte counts.
    """

    failures: int
    since: int
    retry_at: int
    """The tenant is not polled before this time."""


class Suspicion(NamedTuple):
    """Changes that a poll has found and no webhook has reported so far."""

    found_at: int
    """The time in seconds since 1970, UTC."""
    models: tuple[str, ...]


MAX_SUSPECTED_MODELS = 5
"""The maximum number of suspected models per tenant: if webhooks miss changes of more models, this number suffices to
detect it."""


class PollCursor(Cursor):
    """The state that one tick leaves to the next: nothing for a healthy tenant, about 100 bytes for a failing one."""

    ticked_at: AwareDatetime | None = None
    """The time of the last tick; None before the first."""
    pending: tuple[str, ...] = ()
    """Tenants that were due but were not polled, because the time budget was spent or a sync was in flight."""
    failing: Mapping[str, FailureStreak] = Field(default_factory=dict)
    """Tenants whose last poll failed."""
    requested: Mapping[str, str] = Field(default_factory=dict)
    """Maps a tenant to the token of the change for which a sync was last requested, until a sync has stored that
    change."""
    suspected: Mapping[str, Suspicion] = Field(default_factory=dict)
    """Tenants with a change that their webhooks have not reported."""


def failing_since(streak: FailureStreak) -> datetime:
    """Return the time of a streak's first failure."""
    return datetime.fromtimestamp(streak.since, UTC)
