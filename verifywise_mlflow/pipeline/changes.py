"""What a listing shows that the store does not hold in the same way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.registry import Known, Seen

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recreated:
    """An object that was deleted and created again under its name: another one, though people call it the same."""

    kind: str
    name: str
    created_at: datetime
    former_created_at: datetime

    @property
    def sentence(self) -> str:
        """When, and when the former one was created."""
        return (
            f"created anew at {self.created_at.isoformat()}; its former bearer at {self.former_created_at.isoformat()}"
        )


@dataclass(slots=True)
class Changes(Generic[T]):
    """The rows to write, gathered object by object."""

    kind: str
    seen: list[Seen[T]] = field(default_factory=list)
    recreated: list[Recreated] = field(default_factory=list)

    def compare(self, name: str, found: T, created_at: datetime | None, known: Known | None) -> None:
        """Note an object that is new, back or different. Created at another time, it is another one."""
        mark = fingerprint(found)
        if known and not known.is_gone and known.fingerprint == mark:
            return
        incarnation = known.incarnation if known else 1
        if created_at and known and known.created_at and created_at != known.created_at:
            incarnation += 1
            self.recreated.append(Recreated(self.kind, name, created_at, known.created_at))
        self.seen.append(Seen(found, mark, incarnation))
