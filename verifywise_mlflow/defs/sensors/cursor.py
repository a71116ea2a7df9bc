"""The state that one tick of a sensor stores for the next."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Cursor(BaseModel):
    """A sensor's cursor as JSON. Dagster lets people edit it, and a later release may expect other fields."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_json(cls, text: str | None) -> Self:
        """Return the cursor that a tick stored; an empty cursor if there is none or it cannot be parsed."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()

    def to_json(self) -> str:
        """Return the cursor as JSON, without empty fields."""
        return self.model_dump_json(exclude_defaults=True)
