"""The sensors and schedules whose ticks read data of every tenant, and the cost of these reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from verifywise_mlflow.defs.schedules.sync_schedules import RECONCILE_TICK, REHASH_TICK

TICK_TIMEOUT_SECONDS: Final = 60.0
"""The maximum time of a tick: Dagster's default for sensors and for schedules. A tick that takes longer is discarded
with all its results."""


@dataclass(frozen=True, slots=True)
class TickKind:
    """A sensor or a schedule. A test compares the values with the product's definitions."""

    name: str
    interval: float
    """The interval in seconds."""
    transactions: int
    """The number of transactions in the store for each tenant. The transactions of polls count as a part of each
    poll."""
    is_schedule: bool = False


NEW_VERSIONS: Final = TickKind("new_versions", 60.0, 0)
CHANGED_LISTINGS: Final = TickKind("changed_listings", 60.0, 0)
RECONCILE: Final = TickKind("reconcile", RECONCILE_TICK.total_seconds(), 1, is_schedule=True)
REHASH: Final = TickKind("rehash", REHASH_TICK.total_seconds(), 1, is_schedule=True)
TICKS: Final[Sequence[TickKind]] = (
    TickKind("tenants", 30.0, 0),
    NEW_VERSIONS,
    CHANGED_LISTINGS,
    TickKind("alerts", 60.0, 3),  # staleness, the quota of history, integrity events
    TickKind("stale_tenants", 300.0, 1),
    RECONCILE,
    REHASH,
)
