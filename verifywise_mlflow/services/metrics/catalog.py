"""Every metric that the endpoint serves: name, type, labels and meaning. Dashboards and alerts may use no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    description: str


_TENANT: Final = ("tenant",)

_METRICS: Final = (
    Metric("verifywise_build", "gauge", ("version",), "Always 1; the label has the version that serves the metrics."),
    Metric("verifywise_lag_seconds", "gauge", ("tenant", "stage"), "Time since a stage of the tenant last completed."),
    Metric("verifywise_stale", "gauge", _TENANT, "1 if a stage is older than the tenant's limit, otherwise 0."),
    Metric("verifywise_incomplete_records", "gauge", _TENANT, "Living versions with a part that cannot be read."),
    Metric("verifywise_open_gaps", "gauge", ("tenant", "severity"), "Gaps that no waiver covers."),
    Metric("verifywise_waived_gaps", "gauge", _TENANT, "Gaps that a waiver covers."),
    Metric("verifywise_compliance_score", "gauge", _TENANT, "The compliance score, in percent."),
    Metric("verifywise_versions", "gauge", ("tenant", "badge"), "Living versions with this badge."),
    Metric(
        "verifywise_last_sync_timestamp_seconds", "gauge", _TENANT, "When the tenant's last full sync ended, Unix time."
    ),
    Metric("verifywise_last_sync_duration_seconds", "gauge", _TENANT, "How long the tenant's last full sync took."),
    Metric(
        "verifywise_last_sync_outcome",
        "gauge",
        ("tenant", "outcome"),
        "1 for the outcome of the last full sync: targeted ones do not count.",
    ),
    Metric(
        "verifywise_circuit_breaker_open",
        "gauge",
        _TENANT,
        "1 if the circuit breaker of the server opened during the last sync: requests failed unsent.",
    ),
    Metric("verifywise_syncs_total", "counter", ("tenant", "outcome"), "Syncs that ended, targeted ones included."),
    Metric("verifywise_sync_requests_total", "counter", _TENANT, "Requests that syncs sent to the tenant's server."),
    Metric("verifywise_sync_bytes_read_total", "counter", _TENANT, "Bytes that syncs read from the tenant's server."),
    Metric("verifywise_sync_incomplete_total", "counter", _TENANT, "Objects that syncs could not read in full."),
    Metric("verifywise_circuit_breaker_openings_total", "counter", _TENANT, "How often the circuit breaker opened."),
    Metric("verifywise_sync_duration_seconds", "histogram", ("outcome",), "How long syncs took, over all tenants."),
    Metric(
        "verifywise_delivery_pending", "gauge", ("tenant", "target"), "Versions whose state a target does not have yet."
    ),
    Metric("verifywise_delivery_parked", "gauge", ("tenant", "target"), "Versions that are not delivered any more."),
    Metric(
        "verifywise_delivery_oldest_seconds",
        "gauge",
        ("tenant", "target"),
        "How long the oldest pending version has waited.",
    ),
    Metric(
        "verifywise_delivery_waiting",
        "gauge",
        ("tenant", "target"),
        "1 if a first delivery waits for a person's confirmation.",
    ),
    Metric("verifywise_change_hints_pending", "gauge", _TENANT, "Hints of webhooks that no sync has followed yet."),
    Metric("verifywise_change_hints_oldest_seconds", "gauge", _TENANT, "How long the oldest of them has waited."),
    Metric(
        "verifywise_webhook_last_delivery_timestamp_seconds",
        "gauge",
        _TENANT,
        "When the tenant's last verified webhook arrived, Unix time.",
    ),
    Metric("verifywise_run_queue", "gauge", ("status",), "Runs of Dagster that have not ended."),
    Metric("verifywise_run_queue_oldest_seconds", "gauge", (), "How long the oldest queued run has waited."),
    Metric("verifywise_daemon_healthy", "gauge", ("daemon",), "1 if the daemon of Dagster has reported lately."),
    Metric("verifywise_collection_timestamp_seconds", "gauge", (), "When these metrics were read, Unix time."),
    Metric("verifywise_collection_duration_seconds", "gauge", (), "How long reading them took."),
    Metric(
        "verifywise_collection_failed",
        "gauge",
        ("source",),
        "1 if a source cannot be read: its metrics are missing.",
    ),
    Metric("verifywise_tenant_failed", "gauge", _TENANT, "1 if the tenant's metrics cannot be read and are missing."),
)

METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _METRICS}

DURATION_BUCKETS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Upper limits of the buckets in seconds: from the duration of a sync without changes to the default time limit of a
run."""


def exposed_names(metric: Metric) -> tuple[str, ...]:
    """Return the names of a metric's samples in Prometheus' format."""
    match metric.kind:
        case "histogram":
            return (f"{metric.name}_bucket", f"{metric.name}_count", f"{metric.name}_sum")
        case "gauge" | "counter":
            return (metric.name,)
