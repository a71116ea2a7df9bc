"""Which alerts there are to tell: only changes. Pure.

A tenant that fails each minute is told once, and once more when it is well again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from verifywise_mlflow.alerts.alert import Alert, AlertKind
from verifywise_mlflow.tenants.freshness import StageAge, told

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


def lateness(tenant_id: str, aged: Iterable[StageAge], how_it_ended: str) -> Observation:
    """Tell of a tenant that is late, and how its last sync ended."""
    late = told(aged)
    return Observation("tenant late", tenant_id, f"{late}. {how_it_ended}" if late else None)
