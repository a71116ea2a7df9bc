"""The result of a check of one kind of object that a server has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["readable", "in part", "not readable", "nothing there"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of reading one kind of object that a sync reads."""

    subject: str
    outcome: Outcome
    detail: str
    """How many objects were read, or why they could not be read."""
    remedy: str | None = None
    """What to do about the result; None if nothing is to be done."""

    def to_json(self) -> dict[str, object]:
        """Return the object that ``check --json`` prints. Its keys are an interface."""
        return {"what": self.subject, "outcome": self.outcome, "found": self.detail, "mend": self.remedy}
