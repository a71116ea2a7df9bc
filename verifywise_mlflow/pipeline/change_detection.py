"""Finds the listed objects that differ from the stored objects, by their fingerprints.

Only these objects are written. A sync is therefore idempotent: a second sync over the same data writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from verifywise_mlflow.normalizer.fingerprint import fingerprint_and_size
from verifywise_mlflow.persistence.batch_limits import MAX_BATCH_BYTES, ROWS_PER_BATCH
from verifywise_mlflow.persistence.repositories.registry import ListedObject, StoredObject

T = TypeVar("T")


@dataclass(slots=True)
class ChangeSet(Generic[T]):
    """The listed objects whose rows must be written."""

    changed: list[ListedObject[T]] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    """The size of each object's canonical JSON in bytes."""

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
        digest, size = fingerprint_and_size(listed)
        if stored and not stored.is_deleted and stored.fingerprint == digest and not is_outdated:
            return
        incarnation = stored.incarnation if stored else 1
        if created_at and stored and stored.created_at and created_at != stored.created_at:
            incarnation += 1
        self.changed.append(ListedObject(listed, digest, incarnation, stored))
        self._sizes.append(size)

    def batches(self) -> Iterator[Sequence[ListedObject[T]]]:
        """Yield the objects in batches of one transaction each, bounded in number and in bytes.

        Writing a row takes several times its bytes, so a batch of large rows must not be in memory as a whole.
        """
        start, batch_bytes = 0, 0
        for index, size in enumerate(self._sizes):
            if index > start and (index - start == ROWS_PER_BATCH or batch_bytes + size > MAX_BATCH_BYTES):
                yield self.changed[start:index]
                start, batch_bytes = index, 0
            batch_bytes += size
        if start < len(self.changed):
            yield self.changed[start:]
