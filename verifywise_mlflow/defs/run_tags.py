"""What a run is told apart by in the queue: its tenant, its tenant's server, and who asked for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from verifywise_mlflow.tenants.tenant import Tenant

PARTITION = "dagster/partition"
BACKFILL = "dagster/backfill"
SENSOR = "dagster/sensor_name"
SCHEDULE = "dagster/schedule_name"
PRIORITY = "dagster/priority"
SERVER = "verifywise/server"
"""The tenant's MLflow server: tenants that share one (workspaces) wait for each other beyond a limit."""

_PRIORITIES = ((BACKFILL, -10), (SCHEDULE, 0), (SENSOR, 5))
_OF_A_PERSON = 10


def server_of(tenant: Tenant) -> str:
    """Return a tenant's server as ``host:port``."""
    parts = urlsplit(tenant.tracking_uri)
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def priority_of(tags: Mapping[str, str]) -> int:
    """Return how soon a run is due: somebody waits for it, a server has news, an hour is over, a backfill drains."""
    return next((priority for tag, priority in _PRIORITIES if tag in tags), _OF_A_PERSON)


def queue_tags(tags: Mapping[str, str], server: str | None) -> dict[str, str]:
    """Return the tags that the queue's limits and order need and that a run does not bear yet.

    Args:
        tags: those that it bears.
        server: its tenant's, where that is known.
    """
    wanted = {PRIORITY: str(priority_of(tags)), **({SERVER: server} if server else {})}
    return {tag: value for tag, value in wanted.items() if tag not in tags}


@dataclass(frozen=True, slots=True)
class Request:
    """A run that is asked for, or that waits in the queue."""

    run_id: str
    tags: Mapping[str, str]
    does: tuple[object, ...]
    """What it does: two runs of a tenant are the same where this is equal."""

    @property
    def is_of_backfill(self) -> bool:
        """Whether a backfill waits for it: Dagster counts one as failed that loses a run."""
        return BACKFILL in self.tags


def superfluous(asked: Request, queued: Sequence[Request]) -> Request | None:
    """Return the run that is not needed, where a sync of the tenant is asked for while another one waits to begin.

    One that waits will read everything as it is then, so the other would find nothing new. It is the later one,
    unless a backfill has asked for that: then it is the one that waits. Of two backfills each keeps its own. A sync
    that has begun counts for nothing here: it may have read already what has changed since.
    """
    tenant = asked.tags.get(PARTITION)
    if tenant is None:
        return None
    same = [one for one in queued if one.tags.get(PARTITION) == tenant and one.does == asked.does]
    if not asked.is_of_backfill:
        return asked if same else None
    return next((one for one in same if not one.is_of_backfill), None)
