"""What one round of alerts leaves to the next."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ValidationError

from verifywise_mlflow.alerts.alert import Alert, AlertKind

MOST_UNSENT = 200
"""Alerts kept for one target that cannot be reached; of more, the newest."""


class Unsent(BaseModel):
    """Alerts that a target did not take."""

    target: str
    alerts: list[Alert]


class Book(BaseModel):
    """What was told, up to where was looked, and what could not be told yet."""

    opened: list[tuple[AlertKind, str | None]] = []
    events_seen: dict[str, int] = {}
    """Of each tenant that has any, the last integrity event that was told."""
    runs_seen_until: AwareDatetime | None = None
    unsent: list[Unsent] = []

    @classmethod
    def read(cls, written: str | None) -> Book:
        """Return the book that a round left; a new one where there is none, or one of another release."""
        try:
            return cls.model_validate_json(written or "{}")
        except ValidationError:
            return cls()

    def waiting_for(self, target: str) -> list[Alert]:
        """Return what a target did not take before."""
        return [alert for one in self.unsent if one.target == target for alert in one.alerts]


def newest(alerts: list[Alert]) -> list[Alert]:
    """Return as many as are kept."""
    return sorted(alerts, key=_time)[-MOST_UNSENT:]


def _time(alert: Alert) -> datetime:
    return alert.at
