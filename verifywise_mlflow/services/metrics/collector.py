"""Reads all metrics at an interval, so that a scrape costs no query, regardless of the number of scrapers.

Gauges are read from the database each time. Counters grow with the syncs that ended since the last reading. These syncs
are read from the audit trail, since each sync runs in its own process, which ends before anything could scrape it.
Counters start at 0 when this process starts, as Prometheus expects.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from verifywise_mlflow import __version__
from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.persistence.errors import DatabaseError, DatabaseUnreachableError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.metrics.queue_state import QueueState
from verifywise_mlflow.services.metrics.readings import Durations, Readings
from verifywise_mlflow.services.metrics.tenant_state import EndedSync, TenantState, read_tenant_state
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.tenant import Tenant

_logger = logging.getLogger(__name__)
OUTCOMES_OF_SYNCS: Final = ("complete", "incomplete", "failed")
NOT_EVALUATED: Final = "none"
"""The badge of versions that were not evaluated."""


class QueueUnreadableError(Exception):
    """Dagster's database cannot be read."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MetricsCollector:
    """The metrics of all tenants, and the counters over the life of this process. Several threads may read it."""

    def __init__(
        self,
        store: Store,
        load_tenants: Callable[[], Mapping[str, Tenant]],
        read_queue: Callable[[], QueueState] | None = None,
        *,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """Prepare the collector; nothing is read yet.

        Args:
            store: The database.
            load_tenants: Called at each reading, so that a new tenant appears without a restart.
            read_queue: Reads Dagster's queue; None if there is no instance.
            now: The clock.
        """
        self._store, self._load_tenants, self._read_queue, self._now = store, load_tenants, read_queue, now
        self._positions: dict[str, int] = {}
        """The sequence number of the last entry that was counted, by tenant."""
        self._counters = Readings()
        self._durations: defaultdict[str, Durations] = defaultdict(Durations)
        self._published = Readings()
        self._published_durations: Mapping[str, Durations] = {}
        self._lock = threading.Lock()
        self.on_sync: Callable[[EndedSync], None] = lambda _: None
        """Called with each sync that is counted."""

    @property
    def readings(self) -> Readings:
        """The values of the last reading."""
        with self._lock:
            return self._published

    @property
    def durations(self) -> Mapping[str, Durations]:
        """How long syncs took, by outcome."""
        with self._lock:
            return self._published_durations

    def read(self) -> None:
        """Read all metrics. No error is raised: values that cannot be read are missing, and a metric reports that."""
        started, at = time.monotonic(), self._now()
        gauges = Readings()
        gauges.set("verifywise_build", 1, __version__)
        gauges.set("verifywise_collection_failed", float(not self._read_tenants(gauges, at)), "database")
        if self._read_queue:
            gauges.set("verifywise_collection_failed", float(not _set_queue(gauges, self._read_queue)), "dagster")
        gauges.set("verifywise_collection_timestamp_seconds", at.timestamp())
        gauges.set("verifywise_collection_duration_seconds", round(time.monotonic() - started, 3))
        with self._lock:
            self._published = gauges.merged(self._counters)
            self._published_durations = {
                outcome: Durations(list(of.counts), of.total_seconds) for outcome, of in self._durations.items()
            }

    def _read_tenants(self, gauges: Readings, at: datetime) -> bool:
        """Return whether the list of tenants and the database could be read."""
        try:
            tenants = self._load_tenants()
        except TenantsFileError as error:
            _logger.warning("the tenants cannot be read: %s", error)
            return False
        for tenant_id, tenant in tenants.items():
            try:
                state = read_tenant_state(self._store, tenant, at, self._positions.get(tenant_id))
            except DatabaseUnreachableError as error:
                _logger.warning("the database cannot be read: %s", error)
                return False
            except (DatabaseError, TenantsFileError) as error:
                _logger.warning("the metrics of %s cannot be read: %s", tenant_id, error)
                gauges.set("verifywise_tenant_failed", 1, tenant_id)
                continue
            gauges.set("verifywise_tenant_failed", 0, tenant_id)
            self._count(tenant_id, state)
            if state:
                _set_tenant(gauges, tenant_id, state)
                _set_deliveries(gauges, tenant_id, state, at)
                _set_webhooks(gauges, tenant_id, state)
        return True

    def _count(self, tenant_id: str, state: TenantState | None) -> None:
        last = state.last_sync.sequence if state and state.last_sync else 0
        self._positions[tenant_id] = max(last, self._positions.get(tenant_id, 0))
        counters = self._counters
        for outcome in OUTCOMES_OF_SYNCS:
            counters.add("verifywise_syncs_total", 0, tenant_id, outcome)
        new = state.new_syncs if state else ()
        for name, amounts in (
            ("verifywise_sync_requests_total", [sync.requests for sync in new]),
            ("verifywise_sync_bytes_read_total", [sync.bytes_read for sync in new]),
            ("verifywise_sync_incomplete_total", [sync.incomplete for sync in new]),
            ("verifywise_circuit_breaker_openings_total", [sync.circuit_openings for sync in new]),
        ):
            counters.add(name, sum(amounts), tenant_id)
        for sync in new:
            counters.add("verifywise_syncs_total", 1, tenant_id, sync.outcome)
            self._durations[sync.outcome].add(sync.seconds)
            self.on_sync(sync)


def _set_tenant(gauges: Readings, tenant_id: str, state: TenantState) -> None:
    for stage, seconds in state.lag_seconds.items():
        gauges.set("verifywise_lag_seconds", round(seconds, 3), tenant_id, stage)
    gauges.set("verifywise_stale", float(state.is_stale), tenant_id)
    gauges.set("verifywise_incomplete_records", state.incomplete_records, tenant_id)
    compliance = state.compliance
    for severity in Severity:
        open_gaps = sum(summary.open_gaps for summary in compliance.rules if summary.rule.severity == severity)
        gauges.set("verifywise_open_gaps", open_gaps, tenant_id, severity.value)
    gauges.set("verifywise_waived_gaps", sum(summary.waived_gaps for summary in compliance.rules), tenant_id)
    for badge in (*Badge, None):
        label = badge.value if badge else NOT_EVALUATED
        gauges.set("verifywise_versions", compliance.badges.get(badge, 0), tenant_id, label)
    if (score := compliance.metrics().get("compliance_score")) is not None:
        gauges.set("verifywise_compliance_score", score, tenant_id)
    if last := state.last_sync:
        gauges.set("verifywise_circuit_breaker_open", float(last.circuit_openings > 0), tenant_id)
    # A targeted sync does not show the state of the whole registry, and the next sync does not repeat its failure.
    if last := state.last_registry_sync:
        gauges.set("verifywise_last_sync_timestamp_seconds", last.ended_at.timestamp(), tenant_id)
        gauges.set("verifywise_last_sync_duration_seconds", last.seconds, tenant_id)
        for outcome in OUTCOMES_OF_SYNCS:
            gauges.set("verifywise_last_sync_outcome", float(last.outcome == outcome), tenant_id, outcome)


def _set_deliveries(gauges: Readings, tenant_id: str, state: TenantState, at: datetime) -> None:
    for status in state.deliveries:
        is_waiting = status.state is not None and status.state.waiting_reason is not None
        for name, value in (
            ("verifywise_delivery_pending", status.outbox.pending),
            ("verifywise_delivery_parked", status.outbox.parked),
            ("verifywise_delivery_oldest_seconds", round(status.oldest_seconds(at), 3)),
            ("verifywise_delivery_waiting", float(is_waiting)),
        ):
            gauges.set(name, value, tenant_id, status.target)


def _set_webhooks(gauges: Readings, tenant_id: str, state: TenantState) -> None:
    if webhooks := state.webhooks:
        gauges.set("verifywise_change_hints_pending", webhooks.pending, tenant_id)
        gauges.set("verifywise_change_hints_oldest_seconds", round(webhooks.oldest_seconds, 3), tenant_id)
        if webhooks.last_delivery_at:
            at = webhooks.last_delivery_at.timestamp()
            gauges.set("verifywise_webhook_last_delivery_timestamp_seconds", at, tenant_id)


def _set_queue(gauges: Readings, read_queue: Callable[[], QueueState]) -> bool:
    try:
        state = read_queue()
    except QueueUnreadableError as error:
        _logger.warning("the run queue cannot be read: %s", error)
        return False
    for status, count in state.runs.items():
        gauges.set("verifywise_run_queue", count, status)
    gauges.set("verifywise_run_queue_oldest_seconds", round(state.oldest_queued_seconds, 3))
    for daemon, is_healthy in state.daemons.items():
        gauges.set("verifywise_daemon_healthy", float(is_healthy), daemon)
    return True
