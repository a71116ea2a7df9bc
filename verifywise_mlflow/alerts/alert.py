"""An alert and its text form."""

from __future__ import annotations

from datetime import UTC
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from verifywise_mlflow.common.untrusted_text import escape_invisible, truncate

AlertKind = Literal[
    "sync failed",
    "tenant stale",
    "history quota reached",
    "delivery stuck",
    "webhooks silent",
    "integrity event",
    "audit trail damaged",
    "audit trails not verified",
    "checkpoints not witnessed",
]
AlertStatus = Literal["raised", "resolved"]

MAX_SENTENCE_CHARS = 600
"""The maximum number of characters of an alert's sentence. A longer sentence is cut. Dagster's pages and the audit
trail show the full sentence."""


class Alert(BaseModel):
    """A problem started or was resolved."""

    model_config = ConfigDict(frozen=True)

    kind: AlertKind
    tenant_id: str | None
    """None if the alert concerns all tenants."""
    state: AlertStatus
    sentence: str
    at: AwareDatetime

    def line(self) -> str:
        """Return the alert as one line. Untrusted text is escaped: no line break, no control character."""
        tenant = f" {self.tenant_id}" if self.tenant_id else ""
        return escape_alert_text(
            f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z {self.kind}{tenant} {self.state}: {self.sentence}"
        )


def escape_alert_text(text: str) -> str:
    """Return a truncated text on one line, with control, bidirectional and other invisible characters escaped."""
    return escape_invisible(truncate(text, MAX_SENTENCE_CHARS))
