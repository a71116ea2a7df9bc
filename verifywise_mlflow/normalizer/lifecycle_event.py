"""Lifecycle events of models and versions: their kinds and their sentences.

``pipeline/lifecycle_events.py`` derives events from two reads; ``persistence/repositories/lifecycle_events.py`` stores
the events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from verifywise_mlflow.common.abbreviation import abbreviate


class EventKind(StrEnum):
    """The kinds of events; docs/reference/lifecycle-events.md describes each."""

    FIRST_SEEN = "first seen"
    STAGE = "stage"
    ALIAS = "alias"
    STATUS = "status"
    DEPLOYMENT = "deployment"
    DISAPPEARED = "disappeared"
    REAPPEARED = "reappeared"
    RECREATED = "recreated"


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """One change of one object between two syncs."""

    kind: EventKind
    model_name: str
    version_number: int | None
    """None for an event of the model. For an alias: the version that it points to, or pointed to before its removal."""
    incarnation: int
    """The incarnation of the object; for an alias, of its model."""
    alias: str | None = None
    previous: str | None = None
    """The former value in MLflow's form: for an alias, a version; for an object created again, a time (ISO 8601,
    UTC)."""
    value: str | None = None
    happened_at: datetime | None = None
    """The time of the change, only if MLflow reports it."""

    @property
    def sentence(self) -> str:
        """The event as a sentence."""
        sentence = self.kind.value
        if self.alias is not None:
            sentence += f" {abbreviate(self.alias)!r}"
        if self.previous is not None or self.value is not None:
            sentence += f": {_quoted(self.previous)} → {_quoted(self.value)}"
        return f"{sentence}, by MLflow's clock at {self.happened_at.isoformat()}" if self.happened_at else sentence


def _quoted(value: str | None) -> str:
    return "none" if value is None else repr(abbreviate(value))
