"""One sync of one tenant: runs stages, and tells the audit trail of its start and its end, whatever becomes of it.

The command line and Dagster both come through here. A sync may run all six stages or a single one.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind, Outcome
from verifywise_mlflow.audit.keys import SigningKey
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.client import Traffic
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.persistence.repositories import audit_log, records, redaction_epoch, tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import Progress, Stage, StageContext, StageReport, SyncOptions
from verifywise_mlflow.pipeline.recording_failures import TOLD_A_STAGE, tell_unreadable
from verifywise_mlflow.pipeline.redacting_reader import MinimisedReader
from verifywise_mlflow.pipeline.stages import (
    artifact_manifests,
    canonical_records,
    compliance_results,
    model_versions,
    registered_models,
    training_runs,
)
from verifywise_mlflow.pipeline.tenant_activation import activate
from verifywise_mlflow.services.audit_signing import sign_head, signing_key
from verifywise_mlflow.tenants.connection import open_reader
from verifywise_mlflow.tenants.secrets import SecretUnavailableError
from verifywise_mlflow.tenants.tenant import Tenant

_STAGES: dict[Stage, Callable[[StageContext], Progress]] = {
    Stage.REGISTERED_MODELS: registered_models.refresh,
    Stage.MODEL_VERSIONS: model_versions.refresh,
    Stage.TRAINING_RUNS: training_runs.refresh,
    Stage.ARTIFACT_MANIFESTS: artifact_manifests.refresh,
    Stage.CANONICAL_RECORDS: canonical_records.refresh,
    Stage.COMPLIANCE_RESULTS: compliance_results.refresh,
}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _show_nothing(stage: Stage, done: int, total: int) -> None:
    """Progress for nobody."""


@dataclass(slots=True)
class Sync:
    """A sync, as a context: it opens the connection at first need, and ends with its entry and a checkpoint."""

    tenant: Tenant
    store: Store
    options: SyncOptions = field(default_factory=SyncOptions)
    dagster_run_id: str | None = None
    show: Callable[[Stage, int, int], None] = _show_nothing
    now: Callable[[], datetime] = _utc_now
    sync_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    reports: list[StageReport] = field(default_factory=list)
    _reader: Reader | None = None
    _key: SigningKey | None = None
    _failure: tuple[Stage | Literal["between two stages"], BaseException] | None = None

    def __enter__(self) -> Sync:
        with self.store.begin(self.tenant.tenant_id) as connection:
            activate(connection, self.tenant, self.now(), sync_id=self.sync_id)
            audit_log.append(connection, [self._entry_of_start()])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if error is not None and self._failure is None:
            self._failure = ("between two stages", error)
        try:
            with self.store.begin(self.tenant.tenant_id) as connection:
                still_incomplete = records.count_incomplete(connection, self.tenant.tenant_id)
                audit_log.append(connection, [self._entry_of_end(still_incomplete)])
                if self._key:
                    sign_head(connection, self.tenant.tenant_id, self._key, self.now())
        except DatabaseError as failure:
            # Why the sync failed must not be hidden by this. A sync that has begun and not ended shows in the trail.
            if error is None:
                raise
            error.add_note(f"nor could its end be noted in the audit trail: {failure}")
        finally:
            if self._reader:
                self._reader.close()
        return False

    def run(self, stage: Stage) -> StageReport:
        """Run one stage, while no other sync of the tenant runs any.

        Raises:
            ConnectorError: the server cannot be read at all. What is known stays as it was.
            SecretUnavailableError: a credential's reference points to nothing, or the signing key's does.
            TenantBusyError: another sync of the tenant did not end.
        """
        started, before = time.monotonic(), self._traffic()
        try:
            with self.store.exclusive(self.tenant.tenant_id):
                if self._key is None:
                    # Before anything is read: who wants signatures is to have no sync without one.
                    self._key = signing_key()
                context = self._context(stage, self.now())
                progress = _STAGES[stage](context)
                self._close_stage(context, stage, progress)
        except BaseException as error:
            self._failure = (stage, error)
            raise
        if self._failure and self._failure[0] is stage:
            self._failure = None  # Dagster has tried the stage again
        after = self._traffic()
        report = StageReport(
            stage=stage,
            progress=progress,
            requests=after.requests - before.requests,
            bytes_read=after.bytes_read - before.bytes_read,
            seconds=time.monotonic() - started,
        )
        self.reports.append(report)
        return report

    def run_all(self) -> list[StageReport]:
        """Run the six stages in their order."""
        return [self.run(stage) for stage in Stage]

    def reader(self) -> Reader:
        """Return the connection; open it the first time."""
        if self._reader is None:
            self._reader = MinimisedReader(lambda: open_reader(self.tenant), self.tenant.minimisation)
        return self._reader

    def _context(self, stage: Stage, now: datetime) -> StageContext:
        with self.store.begin(self.tenant.tenant_id) as connection:
            tenancy.refuse_erased(connection, self.tenant.tenant_id)
            last = tenancy.refreshes(connection, self.tenant.tenant_id).get(stage)
            # By each stage: a sync with other settings may have had its turn since the stage before.
            redaction_epoch.adopt(connection, self.tenant.tenant_id, self.tenant.minimisation, now, self.sync_id)
            minimised_since = redaction_epoch.in_force_since(connection, self.tenant.tenant_id)
        return StageContext(
            tenant=self.tenant,
            store=self.store,
            sync_id=self.sync_id,
            reader=self.reader,
            now=now,
            options=self.options,
            last_reconciled_at=_since(minimised_since, last.reconciled_at if last else None),
            show=lambda done, total: self.show(stage, done, total),
            entry=self.entry,
        )

    def _close_stage(self, context: StageContext, stage: Stage, progress: Progress) -> None:
        if (more := len(progress.unreadable) - TOLD_A_STAGE) > 0:
            progress.notes.append(f"{more:,} more objects could not be read")
        with context.begin() as connection:
            tenancy.note_refresh(
                connection, self.tenant.tenant_id, stage, self.sync_id, context.now, reconciled=progress.reconciled
            )
            tell_unreadable(context, connection, progress)

    def _entry_of_start(self) -> AuditEntry:
        return self.entry("sync started", "noted", reason=None, counts={"options": asdict(self.options)})

    def _entry_of_end(self, still_incomplete: int) -> AuditEntry:
        reasons = [note for report in self.reports for note in report.progress.notes]
        incomplete = [f"{n:,} of {report.stage}" for report in self.reports if (n := report.progress.incomplete)]
        outcome: Outcome = "incomplete" if incomplete else "complete"
        if incomplete:
            reasons.append(f"not read in full: {', '.join(incomplete)}")
        if still_incomplete:
            # The outcome is that of this sync; what none before it could read either must not go unsaid.
            reasons.append(f"records of living versions that do not hold all that MLflow shows: {still_incomplete:,}")
        if self._failure:
            stage, error = self._failure
            outcome = "failed"
            reasons.insert(0, f"{stage}: {_sentence(error)}")
        counts: dict[str, object] = {report.stage.value: report.counts() for report in self.reports}
        traffic = self._traffic()
        counts["requests"], counts["bytes_read"] = traffic.requests, traffic.bytes_read
        counts["incomplete_records"] = still_incomplete
        if self._reader:
            counts["server"] = asdict(self._reader.server)
        return self.entry("sync ended", outcome, reason="; ".join(reasons) or None, counts=counts)

    def entry(
        self,
        kind: EntryKind,
        outcome: Outcome,
        *,
        reason: str | None,
        object_kind: str | None = None,
        object_name: str | None = None,
        counts: Mapping[str, object] | None = None,
    ) -> AuditEntry:
        """Return an entry of the audit trail that tells of something in this sync."""
        return AuditEntry(
            tenant_id=self.tenant.tenant_id,
            occurred_at=self.now(),
            kind=kind,
            sync_id=self.sync_id,
            source_uri=self.tenant.tracking_uri,
            outcome=outcome,
            code_version=__version__,
            dagster_run_id=self.dagster_run_id,
            credential_identity=_identity(self.tenant),
            server_version=self._reader.server.version if self._reader else None,
            object_kind=object_kind,
            object_name=object_name,
            reason=reason,
            counts=counts or {},
        )

    def _traffic(self) -> Traffic:
        # A copy: the connection's own figures go on moving.
        traffic = self._reader.traffic if self._reader else Traffic()
        return Traffic(traffic.requests, traffic.bytes_read)


def _since(minimised_since: datetime | None, reconciled_at: datetime | None) -> datetime | None:
    """Return when all was last read anew; what was read under other settings for minimisation counts as not read."""
    if reconciled_at and minimised_since and reconciled_at < minimised_since:
        return None
    return reconciled_at


def _identity(tenant: Tenant) -> str:
    try:
        return tenant.auth.identity()
    except SecretUnavailableError as error:
        return f"{tenant.auth.kind} ({error})"


def _sentence(error: BaseException) -> str:
    """Return an error for the trail; one that is none of ours may quote anything, so only its kind is told."""
    if not isinstance(error, Exception):  # Ctrl-C, SIGTERM, a run that Dagster terminates
        return "it was interrupted"
    ours = type(error).__module__.startswith("verifywise_mlflow.")
    return str(error) if ours else f"{type(error).__name__}, which is no error of the server: see the log"
