"""The state that one tick of the alerts sensor passes to the next, stored as the sensor's cursor."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ValidationError

from verifywise_mlflow.alerts.alert import Alert, AlertKind

MAX_UNDELIVERED_ALERTS = 200
"""The maximum number of alerts that are queued for a target that does not accept them. If there are more, the oldest
alerts are dropped."""


class UndeliveredAlerts(BaseModel):
    """Alerts that a target did not accept."""

    target: str
    alerts: list[Alert]


class AlertState(BaseModel):
    """Open alerts, watermarks, and the queue of undelivered alerts."""

    open_alerts: list[tuple[AlertKind, str | None]] = []
    last_integrity_events: dict[str, int] = {}
    """Watermark per tenant: the last integrity event that was reported."""
    runs_watermark: AwareDatetime | None = None
    """The update time of the last reported run: every run that ended earlier was reported."""
    undelivered: list[UndeliveredAlerts] = []

    @classmethod
    def parse(cls, serialized: str | None) -> AlertState:
        """Parse a cursor. Return an empty state if there is none, or if another release wrote it."""
        try:
            return cls.model_validate_json(serialized or "{}")
        except ValidationError:
            return cls()

    def undelivered_to(self, target: str) -> list[Alert]:
        """Return the alerts queued for a target."""
        return [alert for queued in self.undelivered if queued.target == target for alert in queued.alerts]


def keep_newest(alerts: list[Alert]) -> list[Alert]:
    """Return the newest ``MAX_UNDELIVERED_ALERTS``, oldest first."""
    return sorted(alerts, key=_raised_at)[-MAX_UNDELIVERED_ALERTS:]


def _raised_at(alert: Alert) -> datetime:
    return alert.at
