"""The duration and load of a soak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class SoakSize:
    """The size of a soak. The default is the full soak; a test uses a small soak."""

    minutes: int = 30
    """Minutes of the simulated clock."""
    tenants: int = 50
    """The number of tenants, distributed evenly over the servers."""
    servers: int = 2
    sync_interval_minutes: int = 5
    """The number of minutes between two syncs of a tenant."""
    changes_per_minute: int = 12
    """The number of changes per minute."""
    healthy_per_fault: int = 12
    """Each minute, one in this number of healthy tenants gets a fault."""
    processes: int = 4
    """The number of concurrent syncs."""
    max_seconds: float = inf
    """Real seconds after which no further minute starts. The simulated minutes are compared nevertheless."""

    @property
    def tenants_per_server(self) -> int:
        """Return the number of tenants of a server."""
        return max(self.tenants // self.servers, 1)

    @property
    def stopped_at(self) -> int:
        """Return the minute in which the last server's process is stopped."""
        return self.minutes * 2 // 5

    @property
    def started_at(self) -> int:
        """Return the minute in which the last server's process is restarted."""
        return self.minutes // 2

    def due_in(self, minute: int) -> Callable[[int], bool]:
        """Return the indexes of the tenants that are due."""
        return lambda index: index % self.sync_interval_minutes == minute % self.sync_interval_minutes
