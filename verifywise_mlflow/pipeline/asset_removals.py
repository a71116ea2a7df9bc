"""Marks assets beyond models, such as prompts and agents, as deleted if the server no longer has them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.context import Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.recording import record_accepted_loss
from verifywise_mlflow.pipeline.removal_guard import Loss, confirm_removals

K = TypeVar("K")

STATE_BYTES: Final = 2_000
"""The bytes that count against the quota for a former state of an asset: for a row in the history and a state in the
log."""


@dataclass(frozen=True, slots=True)
class RemovableAsset(Generic[K]):
    """A kind of asset that the removal guard watches."""

    kind: str
    name: Callable[[K], str]
    read: Callable[[K], object]
    mark_deleted: Callable[[TenantSession, Collection[K], str, datetime], int]


def remove_missing(
    context: StageContext,
    progress: Progress,
    removed: RemovableAsset[K],
    living: Collection[K],
    listed: Collection[K],
    *,
    listing_is_complete: bool,
) -> int:
    """Mark as deleted the assets that a listing no longer shows, if the removal guard allows it.

    Returns:
        The number of rows that were marked.
    """
    missing = [key for key in living if key not in listed]
    removal = confirm_removals(
        missing,
        losses=[Loss(f"{removed.kind}s", len(missing), len(living))],
        listing_is_complete=listing_is_complete,
        is_accepted=bool(context.options.accept_removals),
        read_object=removed.read,
        ahead=context.tenant.limits.max_concurrent_requests,
    )
    progress.read_failures += [ReadFailure(removed.kind, removed.name(key), why) for key, why in removal.unconfirmed]
    progress.notes += map(Note, removal.notes)
    if not removal.deleted:
        return 0
    with context.begin() as session:
        record_accepted_loss(context, session, removal.accepted_loss)
        count = removed.mark_deleted(session, removal.deleted, context.sync_id, context.now)
        context.history.charge(STATE_BYTES * count)
        context.history.record(session, context.now)
    return count
