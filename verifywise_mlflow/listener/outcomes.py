"""The outcomes of deliveries: replies, counts for Prometheus, and at most one log line a minute about each trouble."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

_log = logging.getLogger(__name__)

_LOG_INTERVAL_S: Final = 60


class Outcome(StrEnum):
    """The outcome of a delivery to a known path."""

    ACCEPTED = "accepted"
    TEST = "test"
    """Accepted; the delivery has the data of MLflow's test call."""
    IGNORED = "ignored"
    """Accepted, but the delivery concerns no object that a sync reads."""
    REPEATED = "repeated"
    BAD_SIGNATURE = "bad signature"
    LATE = "late"
    """Signed too long ago, or too far in the future."""
    OTHER_WORKSPACE = "other workspace"
    MALFORMED = "malformed"
    RATE_LIMITED = "rate limited"
    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"
    """The body did not arrive in time, or the sender closed the connection."""
    BUSY = "busy"
    """Too many deliveries are in progress."""
    DATABASE_UNAVAILABLE = "database unavailable"


@dataclass(frozen=True, slots=True)
class Reply:
    """An outcome, and the response to the sender."""

    outcome: Outcome
    status: int
    text: str
    retry_after_s: int | None = None


class Outcomes:
    """Counts the outcomes of deliveries, and logs troubles. No text of a sender reaches the log."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._deliveries = Counter(
            "verifywise_listener_deliveries_total",
            "Deliveries to the path of a tenant.",
            ("tenant", "outcome"),
            registry=self._registry,
        )
        self._unknown_paths = Counter(
            "verifywise_listener_unknown_paths_total",
            "Deliveries to a path that no tenant has.",
            registry=self._registry,
        )
        self._tenants = Gauge(
            "verifywise_listener_tenants", "Tenants whose webhooks are received.", registry=self._registry
        )
        self._is_current = Gauge(
            "verifywise_listener_configuration_current",
            "0 if tenants.yaml has changed and cannot be used, so that the last valid file is in force.",
            registry=self._registry,
        )
        self._logged_at: dict[tuple[str, str], float] = {}

    def count(self, tenant_id: str, outcome: Outcome) -> None:
        """Count a delivery."""
        self._deliveries.labels(tenant_id, outcome.value).inc()

    def count_unknown_path(self) -> None:
        """Count a delivery to a path that no tenant has."""
        self._unknown_paths.inc()

    def describe_routes(self, tenants: int, *, is_current: bool) -> None:
        """Set the metrics about the routes."""
        self._tenants.set(tenants)
        self._is_current.set(int(is_current))

    def log(self, subject: str, trouble: str, sentence: str) -> None:
        """Log a sentence, unless the same trouble of the same subject was logged in the last minute."""
        now = time.monotonic()
        if now - self._logged_at.get((subject, trouble), -_LOG_INTERVAL_S) >= _LOG_INTERVAL_S:
            self._logged_at[subject, trouble] = now
            _log.warning("%s", sentence)

    def exposition(self) -> bytes:
        """Return all metrics as Prometheus' text."""
        return generate_latest(self._registry)
