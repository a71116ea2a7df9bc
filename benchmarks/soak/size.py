"""How long a soak takes, and how much goes on in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class SoakSize:
    """The whole soak by default; a test takes a small one."""

    minutes: int = 30
    """Of the simulated clock."""
    tenants: int = 50
    """Shared out evenly over the servers."""
    servers: int = 2
    sync_interval_minutes: int = 5
    """Minutes between two syncs of a tenant."""
    changes_per_minute: int = 12
    """What people change in a minute."""
    healthy_per_fault: int = 12
    """So many of the tenants whose server is well fall ill in a minute."""
    processes: int = 4
    """Syncs at once."""
    max_seconds: float = inf
    """Of real time: no minute begins later. What was lived through until then is compared all the same."""

    @property
    def tenants_per_server(self) -> int:
        """Return how many tenants a server has."""
        return max(self.tenants // self.servers, 1)

    @property
    def stopped_at(self) -> int:
        """Return the minute in which the last server's process is stopped."""
        return self.minutes * 2 // 5

    @property
    def started_at(self) -> int:
        """Return the minute in which it is started again."""
        return self.minutes // 2

    def due_in(self, minute: int) -> Callable[[int], bool]:
        """Return which of a server's tenants have their turn, by their place."""
        return lambda place: place % self.sync_interval_minutes == minute % self.sync_interval_minutes
