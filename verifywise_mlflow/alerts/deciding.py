"""Which alerts there are to tell: only changes. Pure.

A tenant that fails each minute is told once, and once more when it is well again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from verifywise_mlflow.alerts.alert import Alert, AlertKind

Open = frozenset[tuple[AlertKind, str | None]]
"""What was told as wrong and not yet as well: kind and tenant."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was looked at, and what is wrong with it."""

    kind: AlertKind
    tenant_id: str | None
    wrong: str | None
    """A sentence; None where all is well."""


def changes(opened: Open, observed: Iterable[Observation], now: datetime) -> tuple[list[Alert], Open]:
    """Return what has changed, and what is open after that. What was not looked at stays as it was."""
    still_open, alerts = set(opened), []
    for one in observed:
        key = (one.kind, one.tenant_id)
        if one.wrong is not None and key not in still_open:
            still_open.add(key)
            alerts.append(Alert(kind=one.kind, tenant_id=one.tenant_id, state="raised", sentence=one.wrong, at=now))
        elif one.wrong is None and key in still_open:
            still_open.discard(key)
            alerts.append(
                Alert(kind=one.kind, tenant_id=one.tenant_id, state="resolved", sentence="well again", at=now)
            )
    return alerts, frozenset(still_open)


def without_departed(opened: Open, tenants: Collection[str]) -> Open:
    """Return what is open of tenants that are still synced: nobody waits to hear of the others."""
    return frozenset(key for key in opened if key[1] is None or key[1] in tenants)


def staleness(
    tenant_id: str, *, first_seen_at: datetime, refreshed_at: datetime | None, after: timedelta, now: datetime
) -> Observation:
    """Tell whether a tenant was gone through, all six stages of it, not too long ago.

    Args:
        tenant_id: whose.
        first_seen_at: since when it is to be synced.
        refreshed_at: when the stage that is furthest behind was gone through last; None if one never was.
        after: how old that may become.
        now: the time.
    """
    if now - (refreshed_at or first_seen_at) <= after:
        return Observation("tenant stale", tenant_id, None)
    if refreshed_at is None:
        wrong = f"not synced through all stages since it was described, {first_seen_at:%Y-%m-%d %H:%M} UTC"
    else:
        wrong = f"not synced through all stages since {refreshed_at:%Y-%m-%d %H:%M} UTC"
    return Observation("tenant stale", tenant_id, wrong)
