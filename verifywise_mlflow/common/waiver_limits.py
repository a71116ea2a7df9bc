"""The limits on a tenant's waivers, as written in ``tenants.yaml``.

This module is in ``common`` because the settings and the compliance package import it, and neither of them may import
the other. The settings name the limits; the compliance package applies them.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_Name = Annotated[str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True)]


class WaiverLimits(BaseModel):
    """The limits of a tenant's waivers. A waiver beyond them is neither granted nor kept in force."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    max_days: int = Field(default=365, gt=0, le=36_500)
    """The maximum number of days from today to the last day of a waiver: accepting a gap permanently is a change of
    policy."""
    min_reason_characters: int = Field(default=20, gt=0, le=2_000)
    """The minimum number of characters of a reason, not counting repeated spaces."""
    approvers: tuple[_Name, ...] | None = None
    """The people who may accept a gap, by name. Null: anybody may. Empty: nobody may, so that no waiver is possible."""
    allow_patterns: bool = False
    """Whether a waiver may name its models by a pattern with ``*`` or ``?``, and so models that do not exist yet."""
