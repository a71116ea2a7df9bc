"""The simulated tenants: the changes on their servers, and which changes the store has."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from benchmarks.capacity.clock import START
from benchmarks.capacity.workload import Workload
from verifywise_mlflow.defs.schedules.overdue import LastRead

ChangeKind = Literal["version", "tag"]
"""The kind of change. A new version changes the newest timestamp; a tag or an alias is visible only in the listings."""

_JUDGED_RUNS = 3
"""The number of a tenant's last runs that decide whether it is slow."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change on a tenant's server."""

    at: float
    kind: ChangeKind


@dataclass(slots=True)
class SimulatedTenant:
    """A tenant, with the state of its server and its part of the store."""

    name: str
    server: str
    unread: list[Change] = field(default_factory=list)
    """The changes that no sync has read."""
    refreshed_at: float = 0.0
    """When a sync last completed."""
    reconciled_at: float = 0.0
    """When a sync last read all runs."""
    last_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_JUDGED_RUNS))
    failed_at: float | None = None
    """When the last sync was requested, if it failed."""
    was_lost: bool = False
    """Whether a sync has failed since the last completed sync because the server did not respond."""

    def token(self, kind: ChangeKind) -> str | None:
        """Return what a poll compares: the newest timestamp shows new versions, the listings show all changes."""
        seen = [change for change in self.unread if kind == "tag" or change.kind == "version"]
        return f"{seen[-1].at}" if seen else None


class Population:
    """All tenants of one installation."""

    def __init__(self, workload: Workload, seed: int, prefix: str = "tenant") -> None:
        """Distribute the tenants over the servers. As after a day of hourly syncs, their sync times differ."""
        chance = random.Random(seed)  # noqa: S311  # no secret depends on it
        interval = workload.reconcile.total_seconds()
        self.tenants = {
            name: SimulatedTenant(name, f"mlflow-{number // workload.tenants_per_server}:443")
            for number, name in enumerate(f"{prefix}-{number:05}" for number in range(workload.tenants))
        }
        self.names: Sequence[str] = list(self.tenants)
        self.changed: set[str] = set()
        """Tenants with unread changes."""
        self.last_reconciles: dict[str, LastRead] = {}
        self.last_refreshes: dict[str, LastRead] = {}
        self._reconcile = workload.reconcile
        self._rehash = timedelta(days=1) / 10
        for tenant in self.tenants.values():
            self.read(tenant, -chance.uniform(0.0, 0.9 * interval), reconciled=True)

    def change(self, name: str, change: Change) -> None:
        """Change something on a tenant's server."""
        self.tenants[name].unread.append(change)
        self.changed.add(name)

    def read(self, tenant: SimulatedTenant, at: float, *, reconciled: bool) -> list[Change]:
        """Read the state that a tenant's server had at the time ``at``; return the changes that were read."""
        tenant.refreshed_at = at
        read = [change for change in tenant.unread if change.at <= at]
        tenant.unread = [change for change in tenant.unread if change.at > at]
        if not tenant.unread:
            self.changed.discard(tenant.name)
        moment = START + timedelta(seconds=at)
        self.last_refreshes[tenant.name] = LastRead(moment, self._rehash)
        if reconciled:
            tenant.reconciled_at = at
            self.last_reconciles[tenant.name] = LastRead(moment, self._reconcile)
        return read

    def servers(self) -> list[str]:
        """Return the servers, in order."""
        return list(dict.fromkeys(tenant.server for tenant in self.tenants.values()))
