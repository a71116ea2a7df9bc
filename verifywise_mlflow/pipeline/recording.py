"""Writes lifecycle events, and an entry in the trail for each, in the transaction of the rows that they tell of.

So a kill neither loses an event nor doubles one: it is there if and only if the row is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.persistence.repositories import audit_log, lifecycle
from verifywise_mlflow.persistence.repositories.lifecycle import LifecycleEvent
from verifywise_mlflow.persistence.repositories.registry import Entombed
from verifywise_mlflow.persistence.row_mapping import BATCH
from verifywise_mlflow.persistence.store import Connection
from verifywise_mlflow.pipeline.context import Progress, StageContext
from verifywise_mlflow.pipeline.lifecycle_events import event_of_tombstone
from verifywise_mlflow.pipeline.removal_guard import Removal

K = TypeVar("K")


def tell(context: StageContext, connection: Connection, progress: Progress, events: Iterable[LifecycleEvent]) -> None:
    """Add events and their entries."""
    told = list(events)
    lifecycle.append(connection, context.tenant.tenant_id, context.sync_id, told, context.now)
    audit_log.append(connection, [_entry(context, event) for event in told])
    progress.events += len(told)


def bury(
    context: StageContext,
    progress: Progress,
    removal: Removal[K],
    entomb: Callable[[Connection, Sequence[K]], list[Entombed]],
) -> None:
    """Give their tombstones to the objects that are gone, and tell of it; also who accepted it, if that had to be."""
    for start in range(0, len(removal.gone), BATCH):
        with context.begin() as connection:
            if start == 0 and removal.accepted:
                reason = f"{removal.accepted}; accepted: {context.options.accept_removals}"
                audit_log.append(connection, [context.entry("removals accepted", "noted", reason=reason)])
            entombed = entomb(connection, removal.gone[start : start + BATCH])
            tell(context, connection, progress, map(event_of_tombstone, entombed))
    progress.removed = len(removal.gone)
    progress.notes += removal.notes


def _entry(context: StageContext, event: LifecycleEvent) -> AuditEntry:
    is_of_version = event.version_number is not None and event.alias is None
    return context.entry(
        "lifecycle event",
        "noted",
        object_kind="model version" if is_of_version else "registered model",
        object_name=f"{event.model_name} version {event.version_number}" if is_of_version else event.model_name,
        reason=event.sentence,
    )
