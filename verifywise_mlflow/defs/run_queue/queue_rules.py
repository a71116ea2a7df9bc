"""The tags that the run queue's limits and order need, and the deduplication of queued runs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from verifywise_mlflow.defs.run_queue.priorities import default_priority, effective_priority
from verifywise_mlflow.defs.run_tags import (
    BACKFILL_TAG,
    DELIVERY_ASSETS,
    DELIVERY_JOBS,
    DELIVERY_TAG,
    PARTITION_TAG,
    PRIORITY_TAG,
    SERVER_TAG,
    SLOW,
    SPEED_TAG,
    SYNC_JOB,
    TARGETED_SYNC_JOB,
    TENANT_TAG,
)
from verifywise_mlflow.tenants.tenant import Tenant


def server_of(tenant: Tenant) -> str:
    """Return the tenant's server as ``host:port``."""
    parts = urlsplit(tenant.tracking_uri)
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def missing_queue_tags(tags: Mapping[str, str], server: str | None, *, is_slow: bool) -> dict[str, str]:
    """Return the tags that the queue's limits and order need and that a run does not have yet.

    Args:
        tags: the run's tags.
        server: the server of the run's tenant; None if it is unknown.
        is_slow: whether the tenant is slow. This tag is always set: a run must not choose its own limit.
    """
    needed = {PRIORITY_TAG: str(default_priority(tags)), **({SERVER_TAG: server} if server else {})}
    if PARTITION_TAG in tags:
        needed[TENANT_TAG] = tags[PARTITION_TAG]
    missing = {tag: value for tag, value in needed.items() if tag not in tags}
    return {**missing, **({SPEED_TAG: SLOW} if is_slow else {})}


def missing_delivery_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the missing tags of a run that delivers.

    Tags for the tenant and the server are left out, since syncs would wait for a run with these tags.
    """
    needed = {PRIORITY_TAG: str(default_priority(tags)), DELIVERY_TAG: "true"}
    return {tag: value for tag, value in needed.items() if tag not in tags}


def is_delivery(job_name: str, assets: Collection[str]) -> bool:
    """Return whether a run only delivers.

    Args:
        job_name: the run's job.
        assets: the assets that were selected; empty for all assets of the job.
    """
    return job_name in DELIVERY_JOBS or (bool(assets) and DELIVERY_ASSETS.issuperset(assets))


def is_slow(last_run_seconds: Sequence[float], slow_seconds: float) -> bool:
    """Return whether a tenant is slow: one of its last runs took long.

    One slow run is enough, so that a server cannot alternate between fast and slow to take the slots of others.
    """
    return any(seconds >= slow_seconds for seconds in last_run_seconds)


class SyncScope(Enum):
    """What a sync reads."""

    REGISTRY = "registry"
    HINTED_OBJECTS = "hinted objects"


def sync_scope(job_name: str, assets: Collection[object] | None) -> SyncScope | None:
    """Return the scope of a run; None if the run is not a sync, or syncs single stages only.

    Args:
        job_name: the run's job.
        assets: the assets that were selected; none for all assets of the job.
    """
    if assets:
        return None
    return {SYNC_JOB: SyncScope.REGISTRY, TARGETED_SYNC_JOB: SyncScope.HINTED_OBJECTS}.get(job_name)


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that is in the queue or about to be submitted to it."""

    run_id: str
    tags: Mapping[str, str]
    work: tuple[object, ...]
    """What the run does. Two runs of a tenant are duplicates if this is equal."""
    scope: SyncScope | None = None
    """The scope of the sync; None if the run is not a sync, or a sync of single stages."""

    @property
    def is_backfill(self) -> bool:
        """Whether a backfill waits for this run: Dagster counts a backfill as failed if it loses a run."""
        return BACKFILL_TAG in self.tags


@dataclass(frozen=True, slots=True)
class Deduplication:
    """Two runs that would do the same work, and which of them stays in the queue."""

    retained: QueuedRun
    canceled: QueuedRun

    @property
    def priority(self) -> int:
        """The priority of the surviving run: the higher of the two."""
        return max(effective_priority(self.retained.tags), effective_priority(self.canceled.tags))


def deduplicate(submitted: QueuedRun, queued: Sequence[QueuedRun]) -> Deduplication | None:
    """Deduplicate a submitted run against queued runs of the same tenant; return None if it must be queued.

    A queued run reads everything when it starts, so a second run would find nothing new. The submitted run is canceled,
    unless a backfill submitted it: then the queued run is canceled. Two backfills both keep their runs, since Dagster
    derives a backfill's outcome from its own runs. A run that has started is not a duplicate: it may have read objects
    before they changed. A sync of the whole registry replaces a targeted sync if it starts at least as soon.
    """
    tenant = submitted.tags.get(PARTITION_TAG)
    if tenant is None:
        return None
    of_tenant = [run for run in queued if run.tags.get(PARTITION_TAG) == tenant]
    duplicates = [run for run in of_tenant if run.work == submitted.work or _covers(run, submitted)]
    if not submitted.is_backfill:
        return Deduplication(retained=duplicates[0], canceled=submitted) if duplicates else None
    replaceable = next((run for run in duplicates if not run.is_backfill), None)
    return Deduplication(retained=submitted, canceled=replaceable) if replaceable else None


def _covers(queued: QueuedRun, submitted: QueuedRun) -> bool:
    """Return whether a queued sync reads the whole registry no later than the submitted sync reads parts of it."""
    return (queued.scope, submitted.scope) == (SyncScope.REGISTRY, SyncScope.HINTED_OBJECTS) and effective_priority(
        queued.tags
    ) >= effective_priority(submitted.tags)
