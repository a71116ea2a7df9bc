"""The daily quota of bytes that a tenant's server may add to the histories, which are kept permanently.

A server that changes everything at every sync would fill the disk. Beyond the quota, a change of a stored object is
held back until the next day. The stored state stays as it is, so no state gets lost, and the next day's sync stores the
difference. New models and versions, deletions, and the effects of a changed mapping are never held back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from verifywise_mlflow.persistence.repositories import history_usage
from verifywise_mlflow.persistence.repositories.records import BuiltRecord
from verifywise_mlflow.persistence.session import TenantSession

EVENT_BYTES = 800
"""The bytes that count against the quota for a lifecycle event, its audit entry and their indexes (measured: 750)."""
STATES_PER_CHANGE = 3
"""A changed record counts against the quota with this many times its size: its former state moves to the history, with
the former verdicts and the values that these verdicts read."""


@dataclass(slots=True)
class HistoryBudget:
    """The bytes that a stage may still write to the histories on a day."""

    quota: int
    """Bytes per day."""
    day: date
    used: int
    """Bytes written on that day, including the bytes of this stage."""
    sync_held_back: int = 0
    """The number of changes that earlier stages of the sync held back."""
    stored_held_back: int = 0
    """The number of changes held back on this day, as stored in the database."""
    held_back: int = 0
    """The number of changes that this stage held back."""
    _unrecorded: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether the quota is reached."""
        return self.used >= self.quota

    @property
    def sentence(self) -> str | None:
        """A sentence that states how much was held back and until when; None if nothing was held back."""
        if not self.held_back:
            return None
        return (
            f"{self.held_back:,} changes are held back until the day after {self.day:%Y-%m-%d}, UTC: what the server "
            f"changes has reached the daily quota of {self.quota:,} bytes of history (history.max_bytes_per_day). "
            "Find out why so much changes, or raise the quota"
        )

    def charge(self, size: int) -> None:
        """Count bytes that are written regardless of the quota."""
        self.used += size
        self._unrecorded += size

    def admit(self, size: int) -> bool:
        """Count bytes if the quota is not reached yet; return whether they may be written."""
        if self.is_spent:
            self.held_back += 1
            return False
        self.charge(size)
        return True

    def admit_records(self, changed: Sequence[BuiltRecord]) -> Sequence[BuiltRecord]:
        """Return the records that may replace their stored state."""
        return [record for record in changed if record.is_remapped or self.admit(STATES_PER_CHANGE * record.size)]

    def record(self, session: TenantSession, now: datetime) -> None:
        """Store how much was written since the last call. Call this method in the transaction of these writes."""
        held_back = self.sync_held_back + self.held_back
        if self._unrecorded or held_back != self.stored_held_back:
            history_usage.add(session, self.day, self._unrecorded, held_back=held_back, now=now)
        self._unrecorded, self.stored_held_back = 0, held_back
