"""What a run is told apart by in the queue: its tenant, its tenant's server, and who asked for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from verifywise_mlflow.tenants.tenant import Tenant

SYNC_JOB = "sync_tenant"
"""Named here, too, since Dagster's daemon and webserver read this without importing what the job consists of."""
PARTITION = "dagster/partition"
BACKFILL = "dagster/backfill"
SENSOR = "dagster/sensor_name"
SCHEDULE = "dagster/schedule_name"
PRIORITY = "dagster/priority"
SERVER = "verifywise/server"
"""The tenant's MLflow server: tenants that share one (workspaces) wait for each other beyond a limit."""

OF_A_SENSOR = 5
_PRIORITIES = ((BACKFILL, -10), (SCHEDULE, 0), (SENSOR, OF_A_SENSOR))
_OF_A_PERSON = 10


def server_of(tenant: Tenant) -> str:
    """Return a tenant's server as ``host:port``."""
    parts = urlsplit(tenant.tracking_uri)
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def priority_of(tags: Mapping[str, str]) -> int:
    """Return how soon a run is due: somebody waits for it, a server has news, an hour is over, a backfill drains."""
    return next((priority for tag, priority in _PRIORITIES if tag in tags), _OF_A_PERSON)


def urgency(tags: Mapping[str, str]) -> int:
    """Return how soon a run in the queue is due, as Dagster reads it: by the tag that it bears, where it bears one."""
    written = tags.get(PRIORITY)
    try:
        return priority_of(tags) if written is None else int(written)
    except ValueError:
        return 0


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


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of two runs that would do the same stays in the queue."""

    kept: Request
    withdrawn: Request

    @property
    def priority(self) -> int:
        """How soon the one that stays is due: as soon as either of them was."""
        return max(urgency(self.kept.tags), urgency(self.withdrawn.tags))


def choose(asked: Request, queued: Sequence[Request]) -> Choice | None:
    """Choose where a sync of the tenant is asked for while another one waits to begin; none where both are needed.

    One that waits will read everything as it is then, so the other would find nothing new. It is the later one that
    is withdrawn, unless a backfill has asked for that: then it is the one that waits. Of two backfills each keeps its
    own, since Dagster tells how a backfill has ended by how its own runs have. A sync that has begun counts for nothing
    here: it may have read already what has changed since.
    """
    tenant = asked.tags.get(PARTITION)
    if tenant is None:
        return None
    same = [one for one in queued if one.tags.get(PARTITION) == tenant and one.does == asked.does]
    if not asked.is_of_backfill:
        return Choice(kept=same[0], withdrawn=asked) if same else None
    other = next((one for one in same if not one.is_of_backfill), None)
    return Choice(kept=asked, withdrawn=other) if other else None
