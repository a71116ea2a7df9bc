"""The result of a check of the installation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Outcome = Literal["ok", "warning", "problem", "skipped"]
"""``problem``: something does not work, or will soon stop working. ``warning``: it works, but could be safer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    subject: str
    outcome: Outcome
    detail: str
    """What was found."""
    remedy: str | None = None
    """What to do; None if nothing is to be done, or if ``detail`` states it."""

    def to_json(self) -> dict[str, object]:
        """Return the object that ``doctor --json`` prints. Its keys are an interface."""
        return asdict(self)
