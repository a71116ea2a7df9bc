"""Delivers the pending versions of the outbox to one target, in batches, until nothing is due or the target stops it.

One drain runs per tenant and target. Syncs and drains do not wait for each other: a drain reads committed rows. A
version that changes while it is delivered keeps its row in the outbox, with another revision.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.common.problems import shorten
from verifywise_mlflow.delivery.target import BatchResult, Connection, OutcomeKind, Plan, Target, VersionOutcome
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.locks import delivery_lock
from verifywise_mlflow.persistence.repositories import audit_log, delivery_outbox, delivery_targets
from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion
from verifywise_mlflow.persistence.repositories.delivery_targets import TargetState
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store, TenantBusyError
from verifywise_mlflow.tenants.errors import SecretUnavailableError, TenantsFileError

MAX_TRIES: Final = 3
"""The number of failed tries after which a version is parked."""
RETRY_AFTER: Final = (timedelta(minutes=2), timedelta(minutes=15))
"""The waits after the first and after the second failed try. A request that timed out may still be executed during the
wait, so that the next try finds its effect."""
TARGET_RETRY_AFTER: Final = timedelta(minutes=5)
"""The wait after an error that stopped the whole delivery."""

DrainOutcome = Literal["nothing due", "delivered", "waiting", "stopped", "busy"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class DrainReport:
    """The result of a drain."""

    outcome: DrainOutcome = "nothing due"
    reason: str | None = None
    """Why the drain waits or stopped, as a sentence."""
    versions: Counter[str] = field(default_factory=Counter)
    """The number of versions by ``OutcomeKind``."""
    counts: Counter[str] = field(default_factory=Counter)
    """The number of writes by kind."""
    remarks: list[str] = field(default_factory=list)
    """The reasons of failures and the descriptions of what was left unchanged. Each names its version."""


class Drain:
    """The deliveries to one target of a tenant."""

    def __init__(
        self,
        store: Store,
        tenant_id: str,
        target: Target,
        *,
        now: Callable[[], datetime] = _utc_now,
        dagster_run_id: str | None = None,
    ) -> None:
        """Store the tenant and the target; nothing is read or sent yet."""
        self._store, self._tenant_id, self._target, self._now = store, tenant_id, target, now
        self._dagster_run_id = dagster_run_id

    def is_due(self) -> bool:
        """Return whether a delivery has work now that requires no action by a person. No request is sent."""
        now = self._now()
        with self._begin() as session:
            state = delivery_targets.target_state(session, self._target.name)
            if state is None or state.settings_digest != self._target.settings_digest:
                return True
            if state.waiting_reason or (state.retry_at and state.retry_at > now):
                return False
            return delivery_outbox.is_any_due(session, self._target.name, now)

    def plan(self) -> Plan:
        """Return what a delivery would write now. Nothing is written anywhere.

        Raises:
            HttpError: the target cannot be read.
            SecretUnavailableError: the reference of a credential cannot be resolved.
            TenantsFileError: the tenant's policies, whose rules are delivered, cannot be loaded.
            TenantBusyError: a delivery is running.
        """
        with self._exclusive():
            batches = self._batches(self._now()) if self._has_full_outbox() else self._all_versions()
            first = next(batches, None)
            if first is None:
                return Plan([])
            with self._target.connect() as connection:
                return connection.plan(_with_first(first, batches))

    def run(
        self, *, confirmed: bool = False, retry_parked: bool = False, max_seconds: float | None = None
    ) -> DrainReport:
        """Deliver what is due.

        Args:
            confirmed: Whether a person has allowed a large first delivery.
            retry_parked: Whether parked and postponed versions become due immediately.
            max_seconds: After this time, no further batch begins. The remaining versions stay pending.

        Raises:
            DatabaseError: the store cannot be used.
        """
        report = DrainReport()
        try:
            with self._exclusive():
                self._run(report, confirmed=confirmed, retry_parked=retry_parked, max_seconds=max_seconds)
        except TenantBusyError:
            report.outcome, report.reason = "busy", "another delivery to this target is running"
        return report

    def _run(self, report: DrainReport, *, confirmed: bool, retry_parked: bool, max_seconds: float | None) -> None:
        started, target = time.monotonic(), self._target
        state = self._register(confirmed=confirmed, retry_parked=retry_parked)
        batches = self._batches(self._now())
        batch = next(batches, None)
        if batch is None:
            return
        try:
            with target.connect() as connection:
                if state.confirmed_at is None and not self._admit(connection, report):
                    return
                while batch is not None:
                    result = connection.deliver(batch)
                    self._settle(connection, result)
                    _add(report, result)
                    if result.stop_reason:
                        self._stop(report, result.stop_reason, _earliest_retry(result.outcomes))
                        return
                    if max_seconds is not None and time.monotonic() - started > max_seconds:
                        break
                    batch = next(batches, None)
        except (HttpError, SecretUnavailableError, TenantsFileError) as error:
            seconds = getattr(error, "retry_after", None)
            self._stop(report, shorten(str(error)), self._now() + timedelta(seconds=seconds) if seconds else None)
            return
        report.outcome = "delivered"
        with self._begin() as session:
            delivery_targets.record_success(session, target.name, self._now())

    def _register(self, *, confirmed: bool, retry_parked: bool) -> TargetState:
        """Return the target's state; make all versions pending if the target is new or has changed settings."""
        target, now = self._target, self._now()
        with self._begin() as session:
            state = delivery_targets.target_state(session, target.name)
            if state is None or state.settings_digest != target.settings_digest:
                if target.delivers_existing:
                    delivery_outbox.enqueue_all(session, target.name, now)
                needs_no_confirmation = target.confirm_above is None
                state = delivery_targets.register(
                    session, target.name, target.settings_digest, now, confirmed=needs_no_confirmation
                )
            if confirmed and state.confirmed_at is None:
                state = self._confirm(session, now)
            if retry_parked:
                delivery_outbox.unpark(session, target.name)
        return state

    def _confirm(self, session: TenantSession, now: datetime) -> TargetState:
        delivery_targets.confirm(session, self._target.name, now)
        state = delivery_targets.target_state(session, self._target.name)
        assert state is not None  # the caller has registered it
        return state

    def _admit(self, connection: Connection, report: DrainReport) -> bool:
        """Return whether the first delivery is small enough. If not, record that it waits for a person to allow it."""
        limit = self._target.confirm_above
        new_entries = connection.plan(self._batches(self._now())).new_entries
        with self._begin() as session:
            if limit is None or new_entries <= limit:
                delivery_targets.confirm(session, self._target.name, self._now())
                return True
            reason = (
                f"the first delivery would create {new_entries:,} entries, more than confirm_above ({limit:,}). See "
                f"verifywise-mlflow deliver plan {self._tenant_id}, then run verifywise-mlflow deliver run "
                f"{self._tenant_id} --yes"
            )
            delivery_targets.wait(session, self._target.name, reason, self._now())
        report.outcome, report.reason = "waiting", reason
        return False

    def _batches(self, at: datetime) -> Iterator[Sequence[PendingVersion]]:
        """Yield the versions that are due at the time ``at``. No version occurs again after it is delivered, deferred
        or changed."""
        after = 0
        while True:
            with self._begin() as session:
                batch = delivery_outbox.due(session, self._target.name, at, self._target.batch_size, after)
            if not batch:
                return
            after = batch[-1].revision
            yield batch

    def _all_versions(self) -> Iterator[Sequence[PendingVersion]]:
        """Yield the versions that would be pending if the target were registered now."""
        with self._begin() as session:
            pending = delivery_outbox.all_versions(session, self._target.name, self._now())
        size = self._target.batch_size
        yield from (pending[start : start + size] for start in range(0, len(pending), size))

    def _settle(self, connection: Connection, result: BatchResult) -> None:
        """Record the outcomes of a batch. If anything was written, add an entry to the audit trail."""
        name, now = self._target.name, self._now()
        with self._begin() as session:
            delivery_outbox.lock(session, name, [outcome.version for outcome in result.outcomes])
            delivered = [outcome.version for outcome in result.outcomes if outcome.kind is OutcomeKind.DELIVERED]
            delivery_outbox.remove(session, name, delivered)
            for outcome in result.outcomes:
                _hold_back(session, name, outcome, now)
            kinds = Counter(outcome.kind.value for outcome in result.outcomes)
            if result.counts or kinds[OutcomeKind.FAILED] or kinds[OutcomeKind.PARKED]:
                audit_log.append(session, [self._entry(connection, result, kinds, now)])

    def _entry(self, connection: Connection, result: BatchResult, kinds: Counter[str], now: datetime) -> AuditEntry:
        is_complete = kinds[OutcomeKind.DELIVERED] == len(result.outcomes)
        reasons = list(dict.fromkeys(remark_of(outcome) for outcome in result.outcomes if outcome.reason))
        if result.stop_reason:
            reasons.insert(0, result.stop_reason)
        return AuditEntry(
            tenant_id=self._tenant_id,
            occurred_at=now,
            kind="delivery",
            sync_id="",
            source_uri=self._target.address,
            outcome="complete" if is_complete else "incomplete",
            code_version=__version__,
            dagster_run_id=self._dagster_run_id,
            credential_identity=connection.identity,
            object_kind="delivery target",
            object_name=self._target.name,
            reason="; ".join(reasons) or None,
            counts={"versions": dict(kinds), **result.counts},
        )

    def _stop(self, report: DrainReport, reason: str, retry_at: datetime | None) -> None:
        report.outcome, report.reason = "stopped", reason
        now = self._now()
        with self._begin() as session:
            delivery_targets.record_error(
                session, self._target.name, reason, now, max(retry_at or now, now + TARGET_RETRY_AFTER)
            )

    def _has_full_outbox(self) -> bool:
        """Return whether a delivery would add no version to the outbox before it begins."""
        with self._begin() as session:
            state = delivery_targets.target_state(session, self._target.name)
        is_current = state is not None and state.settings_digest == self._target.settings_digest
        return is_current or not self._target.delivers_existing

    def _begin(self) -> AbstractContextManager[TenantSession]:
        return self._store.begin(self._tenant_id)

    def _exclusive(self) -> AbstractContextManager[None]:
        return self._store.exclusive(self._tenant_id, wait_seconds=0, lock=delivery_lock(self._target.name))


def remark_of(outcome: VersionOutcome) -> str:
    """Return the reason of an outcome with its version."""
    version = outcome.version
    return f"{version.model_name} version {version.version_number}: {outcome.reason}"


def _hold_back(session: TenantSession, target: str, outcome: VersionOutcome, now: datetime) -> None:
    version, reason = outcome.version, outcome.reason
    match outcome.kind:
        case OutcomeKind.DELIVERED:
            return
        case OutcomeKind.DEFERRED:
            delivery_outbox.defer(session, target, version, until=outcome.retry_at, reason=reason)
        case OutcomeKind.FAILED if version.tries + 1 < MAX_TRIES:
            retry_at = now + RETRY_AFTER[min(version.tries, len(RETRY_AFTER) - 1)]
            until = max(retry_at, outcome.retry_at or retry_at)
            delivery_outbox.record_failure(session, target, version, until=until, reason=reason)
        case OutcomeKind.FAILED | OutcomeKind.PARKED:
            delivery_outbox.park(session, target, version, at=now, reason=reason)


def _add(report: DrainReport, result: BatchResult) -> None:
    report.versions.update(outcome.kind.value for outcome in result.outcomes)
    report.counts.update(result.counts)
    report.remarks += [remark_of(outcome) for outcome in result.outcomes if outcome.reason]


def _earliest_retry(outcomes: Sequence[VersionOutcome]) -> datetime | None:
    return min((outcome.retry_at for outcome in outcomes if outcome.retry_at), default=None)


def _with_first(
    first: Sequence[PendingVersion], others: Iterator[Sequence[PendingVersion]]
) -> Iterator[Sequence[PendingVersion]]:
    yield first
    yield from others
