"""The cursor of the sensor ``mlflow_changes``: which hints it has requested a sync for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class RequestedHints(NamedTuple):
    """The last request for a tenant, stored as an array."""

    revision: int
    """Of the newest hint at that time."""
    requested_at: float
    """In seconds since 1970, UTC."""
    retries: int
    """Requests in a row that repeat one without success."""


class HintCursor(BaseModel):
    """The state that one tick leaves to the next: nothing for a tenant without hints."""

    model_config = ConfigDict(frozen=True)

    requested: Mapping[str, RequestedHints] = Field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str | None) -> HintCursor:
        """Return the cursor that a tick stored; an empty one if there is none or it cannot be parsed."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()

    def to_json(self) -> str:
        """Return the cursor as JSON."""
        return self.model_dump_json(exclude_defaults=True)
