"""What a listing shows that the store does not hold in the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories.registry import Known, Seen
from verifywise_mlflow.persistence.row_mapping import BATCH

T = TypeVar("T")


@dataclass(slots=True)
class Changes(Generic[T]):
    """The rows to write, gathered object by object."""

    seen: list[Seen[T]] = field(default_factory=list)

    def compare(self, found: T, created_at: datetime | None, known: Known | None) -> None:
        """Note an object that is new, back or different. Created at another time, it is another one."""
        mark = fingerprint(found)
        if known and not known.is_gone and known.fingerprint == mark:
            return
        incarnation = known.incarnation if known else 1
        if created_at and known and known.created_at and created_at != known.created_at:
            incarnation += 1
        self.seen.append(Seen(found, mark, incarnation, known))

    def batches(self) -> Iterator[Sequence[Seen[T]]]:
        """Give the rows, as many at a time as one transaction writes."""
        for start in range(0, len(self.seen), BATCH):
            yield self.seen[start : start + BATCH]
