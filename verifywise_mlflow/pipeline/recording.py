"""Records lifecycle events, removals and read failures, with an entry in the audit trail for each.

They are written in the transaction of the rows that they describe. A sync that is killed therefore neither loses nor
duplicates an event: the event exists if and only if the row does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.normalizer.lifecycle_event import LifecycleEvent
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH
from verifywise_mlflow.persistence.repositories import audit_log, lifecycle_events
from verifywise_mlflow.persistence.repositories.registry import ListedObject, Tombstone
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.context import Note, Progress, StageContext
from verifywise_mlflow.pipeline.history_budget import EVENT_BYTES, HistoryBudget
from verifywise_mlflow.pipeline.lifecycle_events import tombstone_event
from verifywise_mlflow.pipeline.outgoing_events import write_outgoing_events
from verifywise_mlflow.pipeline.removal_guard import RemovalDecision
from verifywise_mlflow.services.version_events.lifecycle import from_lifecycle_events

K = TypeVar("K")
T = TypeVar("T")

MAX_READ_FAILURE_ENTRIES = 100
"""The maximum number of entries for single read failures per stage. A note in the entry of the sync's end counts the
remaining failures."""
MAX_LISTING_FAILURE_ENTRIES = 5
"""The maximum number of such entries for a stage that lists the registry. The failures of such a stage are recorded in
each sync for as long as they last."""


def record_events(
    context: StageContext, session: TenantSession, progress: Progress, events: Iterable[LifecycleEvent]
) -> None:
    """Write lifecycle events and their entries, in batches: one model may have thousands of them."""
    remaining = iter(events)
    while batch := list(islice(remaining, ROWS_PER_BATCH)):
        lifecycle_events.append(session, context.sync_id, batch, context.now)
        audit_log.append(session, [_event_entry(context, event) for event in batch])
        write_outgoing_events(context, session, from_lifecycle_events(batch))
        progress.lifecycle_event_count += len(batch)
    context.history.record(session, context.now)


def admit_changes(
    history: HistoryBudget,
    changes: Sequence[ListedObject[T]],
    events_of: Callable[[ListedObject[T]], Iterable[LifecycleEvent]],
) -> list[ListedObject[T]]:
    """Return the changes to write. Beyond the quota, a change of a known object is held back if it has events."""
    admitted = []
    for change in changes:
        size = EVENT_BYTES * sum(1 for _ in events_of(change))
        if change.stored is None or size == 0:
            history.charge(size)
        elif not history.admit(size):
            continue
        admitted.append(change)
    return admitted


def record_removals(
    context: StageContext,
    progress: Progress,
    removal: RemovalDecision[K],
    write_tombstones: Callable[[TenantSession, Sequence[K]], list[Tombstone]],
) -> None:
    """Write tombstones for deleted objects. Record each deletion, and who accepted a large loss."""
    for start in range(0, len(removal.deleted), ROWS_PER_BATCH):
        with context.begin() as session:
            if start == 0:
                record_accepted_loss(context, session, removal.accepted_loss)
            tombstones = write_tombstones(session, removal.deleted[start : start + ROWS_PER_BATCH])
            context.history.charge(EVENT_BYTES * len(tombstones))
            record_events(context, session, progress, map(tombstone_event, tombstones))
    progress.removed = len(removal.deleted)
    progress.notes += map(Note, removal.notes)


def record_accepted_loss(context: StageContext, session: TenantSession, loss: str | None) -> None:
    """Write an entry about a large loss that a person accepted, if there is one."""
    if loss:
        reason = f"{loss}; accepted: {context.options.accept_removals}"
        audit_log.append(session, [context.make_entry("removals accepted", "noted", reason=reason)])


def record_read_failures(context: StageContext, session: TenantSession, progress: Progress) -> None:
    """Write an entry for each of the stage's read failures that has no entry yet."""
    recorded = progress.recorded_read_failures
    unrecorded = progress.read_failures[recorded : max(recorded, max_failure_entries(context.stage))]
    audit_log.append(
        session,
        [
            context.make_entry(
                "object unreadable",
                "incomplete",
                object_kind=failure.kind,
                object_name=failure.name,
                reason=failure.reason,
            )
            for failure in unrecorded
        ],
    )
    progress.recorded_read_failures = len(progress.read_failures)


def max_failure_entries(stage: Stage) -> int:
    """Return how many of a stage's read failures get an entry of their own in a sync."""
    is_listing = stage in (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS)
    return MAX_LISTING_FAILURE_ENTRIES if is_listing else MAX_READ_FAILURE_ENTRIES


def _event_entry(context: StageContext, event: LifecycleEvent) -> AuditEntry:
    is_version_event = event.version_number is not None and event.alias is None
    return context.make_entry(
        "lifecycle event",
        "noted",
        object_kind="model version" if is_version_event else "registered model",
        object_name=f"{event.model_name} version {event.version_number}" if is_version_event else event.model_name,
        reason=event.sentence,
    )
