"""Which tenants a tick of the sensor polls, and in which order. Pure: times are arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ValidationError


class PollCursor(BaseModel):
    """What one tick leaves to the next."""

    ticked_at: AwareDatetime | None = None
    """Up to when the tenants' turns have been taken; null for none yet."""
    first_not_reached: str | None = None
    """The tenant to begin with: the last tick's time was up before its turn."""

    @classmethod
    def read(cls, written: str | None) -> PollCursor:
        """Return the cursor that a tick left; a new one where there is none, or one of another release."""
        try:
            return cls.model_validate_json(written or "{}")
        except ValidationError:
            return cls()

    def after(self, now: datetime, first_not_reached: str | None) -> PollCursor:
        """Return the cursor for the next tick. Where not all were reached, their turns are still to be taken."""
        return PollCursor(ticked_at=self.ticked_at if first_not_reached else now, first_not_reached=first_not_reached)


def is_turn(tenant_id: str, interval: timedelta, *, last: datetime | None, now: datetime) -> bool:
    """Whether a tenant's turn to be polled has come since the last tick.

    Turns come once an interval, at a moment within it that hangs on the tenant's name, so that the tenants
    of one interval do not all come at once.
    """
    if last is None:
        return True
    seconds = interval.total_seconds()
    offset = int.from_bytes(hashlib.sha256(tenant_id.encode()).digest()[:4]) % seconds
    return (now.timestamp() + offset) // seconds > (last.timestamp() + offset) // seconds


def rotated(tenant_ids: Sequence[str], *, first: str | None) -> list[str]:
    """Return the tenants from the given one on, then those before it."""
    start = next((index for index, tenant_id in enumerate(tenant_ids) if first and tenant_id >= first), 0)
    return [*tenant_ids[start:], *tenant_ids[:start]]
