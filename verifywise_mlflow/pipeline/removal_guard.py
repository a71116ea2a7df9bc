"""Decides when an object that a listing no longer shows counts as deleted and gets a tombstone.

A listing may miss a row: pages shift while rows are deleted, or a permission was revoked. A server may also come back
empty after a botched restore. So a listing alone deletes nothing. The listing must be complete, the loss must be
small or accepted by a person, and the server must respond "not found" for each object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from verifywise_mlflow.connector.read_ahead import read_each
from verifywise_mlflow.http.errors import DeadlineExceededError, HttpError, NotFoundError

K = TypeVar("K")

MAX_UNGUARDED_REMOVALS = 20
"""The number of removals in one sync that are never held back: people clean up a small registry as a whole."""
MAX_REMOVED_SHARE = 0.25
"""A loss of more than this share of the known objects is held back and reported."""
MAX_CONFIRMATIONS_PER_SYNC = 200
"""The maximum number of missing objects that are requested one by one, unless a person accepted the loss. The next sync
continues."""


@dataclass(frozen=True, slots=True)
class Loss:
    """How many objects of a kind a listing no longer shows, and how many were known."""

    object_kind: str
    missing: int
    living: int

    @property
    def is_large(self) -> bool:
        """Whether a person has to check the server first."""
        return self.missing > max(MAX_UNGUARDED_REMOVALS, self.living * MAX_REMOVED_SHARE)

    @property
    def description(self) -> str:
        """The size of the loss, as a clause."""
        return f"{self.missing:,} of {self.living:,} {self.object_kind} disappeared at once"


@dataclass(slots=True)
class RemovalDecision(Generic[K]):
    """The missing objects that are deleted, and the missing objects whose deletion is not proven."""

    deleted: list[K] = field(default_factory=list)
    unconfirmed: list[tuple[K, str]] = field(default_factory=list)
    """Missing objects that the server did not report as deleted, each with the reason."""
    notes: list[str] = field(default_factory=list)
    accepted_loss: str | None = None
    """The large loss that a person accepted."""


def confirm_removals(
    missing: Sequence[K],
    *,
    losses: Sequence[Loss],
    listing_is_complete: bool,
    is_accepted: bool,
    read_object: Callable[[K], object],
    ahead: int,
) -> RemovalDecision[K]:
    """Request each missing object from the server, and return the objects that the server does not find.

    Args:
        missing: the objects that the listing no longer shows.
        losses: the loss of these objects, then the loss of other objects that are deleted with them.
        listing_is_complete: whether the listing has shown all objects that it can show.
        is_accepted: whether a person has checked the server and accepts a large loss.
        read_object: reads one object.
        ahead: the maximum number of objects that are requested at the same time.

    Raises:
        UnauthenticatedError: the server refuses the credentials.
    """
    removal: RemovalDecision[K] = RemovalDecision()
    if not missing:
        return removal
    if not listing_is_complete:
        removal.notes.append(
            f"{len(missing):,} {losses[0].object_kind} are missing from an incomplete listing: none is removed"
        )
        return removal
    large = "; ".join(loss.description for loss in losses if loss.is_large)
    if large and not is_accepted:
        removal.notes.append(
            f"{large}: the removal is held back. Check the server; if the objects were deleted on purpose, start a "
            "sync with --accept-removals"
        )
        return removal
    removal.accepted_loss = large or None
    requested = missing if is_accepted else missing[:MAX_CONFIRMATIONS_PER_SYNC]
    if len(missing) > len(requested):
        removal.notes.append(
            f"{len(missing) - len(requested):,} more missing {losses[0].object_kind} are left to the next sync"
        )
    for key, result in read_each(requested, read_object, ahead):
        if isinstance(result, NotFoundError):
            removal.deleted.append(key)
        elif isinstance(result, DeadlineExceededError):
            removal.notes.append(f"not every missing object was requested: {result}")
            break
        else:
            still_there = "the listing does not show it, but the server still has it"
            removal.unconfirmed.append((key, str(result) if isinstance(result, HttpError) else still_there))
    return removal
