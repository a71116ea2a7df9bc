"""Finds the listed objects that differ from the stored ones, by their fingerprints.

Only these are written. A sync is therefore idempotent: a second one over the same data writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories.registry import ListedObject, StoredObject
from verifywise_mlflow.persistence.row_mapping import BATCH_SIZE

T = TypeVar("T")


@dataclass(slots=True)
class ChangeSet(Generic[T]):
    """The listed objects whose rows have to be written."""

    changed: list[ListedObject[T]] = field(default_factory=list)

    def add_if_changed(
        self, listed: T, created_at: datetime | None, stored: StoredObject | None, *, is_outdated: bool = False
    ) -> None:
        """Add an object that is new, different, or back after a tombstone.

        An object with another creation time is another object of the same name: it gets the next incarnation.

        Args:
            listed: the object as the listing shows it.
            created_at: its creation time.
            stored: the row from before this listing.
            is_outdated: whether the row must be written although the listing shows nothing new.
        """
        digest = fingerprint(listed)
        if stored and not stored.is_deleted and stored.fingerprint == digest and not is_outdated:
            return
        incarnation = stored.incarnation if stored else 1
        if created_at and stored and stored.created_at and created_at != stored.created_at:
            incarnation += 1
        self.changed.append(ListedObject(listed, digest, incarnation, stored))

    def batches(self) -> Iterator[Sequence[ListedObject[T]]]:
        """Yield the objects in batches of one transaction each."""
        for start in range(0, len(self.changed), BATCH_SIZE):
            yield self.changed[start : start + BATCH_SIZE]
