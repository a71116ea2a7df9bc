"""One sync of one tenant: runs stages and records its start and its end in the audit trail, even if it fails.

The command line and Dagster both use it. A sync runs all six stages or some of them. It is idempotent: a repetition,
even after a kill, writes only what has changed since.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind, Outcome
from verifywise_mlflow.common.garbage_collection import collect_less_often
from verifywise_mlflow.common.malloc_arenas import limit_malloc_arenas
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.client import Traffic
from verifywise_mlflow.http.sync_deadline import SyncDeadline
from verifywise_mlflow.observability.sync_telemetry import SyncTelemetry
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.persistence.queries.stage_start import stage_start
from verifywise_mlflow.persistence.repositories import audit_log, records, redaction_epoch, tenancy
from verifywise_mlflow.persistence.repositories.change_hints import ChangeHint
from verifywise_mlflow.persistence.repositories.state_commitments import append_with_states
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.table_statistics import analyze_grown_tables
from verifywise_mlflow.persistence.tables.schema import metadata
from verifywise_mlflow.pipeline.context import (
    MAX_COUNTED_NOTES,
    LeftToListing,
    Note,
    Progress,
    StageContext,
    StageReport,
    SyncOptions,
)
from verifywise_mlflow.pipeline.hinted_sync import HintSettlement
from verifywise_mlflow.pipeline.history_budget import HistoryBudget
from verifywise_mlflow.pipeline.recording import max_failure_entries, record_read_failures
from verifywise_mlflow.pipeline.tenant_activation import activate_tenant
from verifywise_mlflow.pipeline.version_prefetch import VersionPrefetch
from verifywise_mlflow.pipeline.warm_up import compile_in_background, load_in_background, load_stage
from verifywise_mlflow.services.audit_signing import sign_chain_head, signing_key_of
from verifywise_mlflow.tenants.connection import open_reader
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.tenant import Tenant

if TYPE_CHECKING:
    from concurrent.futures import Future

    from verifywise_mlflow.audit.keys import Signer

_MANY_CHANGES = 1_000
"""After a stage that changes at least this many objects, tables are analyzed, since a small table may have become
large."""

_STAGES_OF_THE_SERVER = (
    Stage.REGISTERED_MODELS,
    Stage.MODEL_VERSIONS,
    Stage.TRAINING_RUNS,
    Stage.ARTIFACT_MANIFESTS,
)
"""The stages that a targeted sync does not complete, since it leaves most of their work to other syncs."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _ignore_progress(stage: Stage, done: int, total: int) -> None:
    """Discard the progress."""


@dataclass(slots=True)
class Sync:
    """A sync, as a context manager: its exit records the outcome, and signs a checkpoint if there is a signing key."""

    tenant: Tenant
    store: Store
    options: SyncOptions = field(default_factory=SyncOptions)
    dagster_run_id: str | None = None
    report_progress: Callable[[Stage, int, int], None] = _ignore_progress
    now: Callable[[], datetime] = _utc_now
    sync_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    stages: Collection[Stage] = ()
    """The stages that are certain to run. An earlier stage may request what a later stage needs."""
    hints: Sequence[ChangeHint] = ()
    """The hints that a targeted sync follows. It settles them unless it fails."""
    reports: list[StageReport] = field(default_factory=list)
    deadline: SyncDeadline = field(init=False)
    telemetry: SyncTelemetry = field(init=False)
    _left_to_listing: LeftToListing = field(default_factory=LeftToListing)
    _settlement: HintSettlement = field(init=False)
    _held_back: int = 0
    _reader: Reader | None = None
    _opening: threading.Lock = field(default_factory=threading.Lock)
    _version_prefetch: VersionPrefetch | None = None
    _loading: Future[None] | None = None
    _signing_key: Signer | None = None
    _failure: tuple[Stage | Literal["between two stages"], BaseException] | None = None

    def __post_init__(self) -> None:
        """Start the deadline."""
        self._settlement = HintSettlement(self.options, self.hints, self._left_to_listing)
        self.deadline = SyncDeadline(self.tenant.limits.sync_deadline_seconds)
        self.telemetry = SyncTelemetry(self.tenant.tenant_id, self.sync_id, self.dagster_run_id)

    def __enter__(self) -> Sync:
        limit_malloc_arenas()
        collect_less_often()
        with self.store.begin(self.tenant.tenant_id) as session:
            activate_tenant(session, self.tenant, self.now(), sync_id=self.sync_id)
            audit_log.append(session, [self._start_entry()])
        self.telemetry.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        if error is not None and self._failure is None:
            self._failure = ("between two stages", error)
        entry: AuditEntry | None = None
        try:
            with self.store.begin(self.tenant.tenant_id) as session:
                if self._failure is None:
                    self._settlement.settle(session, self.reports, self.now())
                still_incomplete = records.count_incomplete(session)
                entry = append_with_states(session, self._end_entry(still_incomplete))
                if self._signing_key:
                    sign_chain_head(session, self._signing_key, self.now())
        except (DatabaseError, SecretUnavailableError) as failure:
            # An error of the recording must not hide why the sync failed. The audit trail shows a sync without an end.
            if error is None:
                raise
            error.add_note(f"and its end could not be recorded in the audit trail: {failure}")
        finally:
            if self._reader:
                self._reader.close()
            self.telemetry.end(*((entry.outcome, entry.counts) if entry else ("failed", {})))
        return False

    def run(self, stage: Stage) -> StageReport:
        """Run one stage, under the tenant's lock: no other sync of the tenant runs a stage at the same time.

        Raises:
            HttpError: the server cannot be read. Objects that were read before are stored, and nothing is removed.
            SecretUnavailableError: a credential or the signing key cannot be resolved.
            TenantBusyError: another sync of the tenant holds the lock.
        """
        with self.telemetry.stage(stage) as record_counts:
            report = self._run(stage)
            record_counts(report.counts())
        return report

    def _run(self, stage: Stage) -> StageReport:
        started, before = time.monotonic(), self._traffic()
        try:
            with self.store.exclusive(self.tenant.tenant_id):
                if self._signing_key is None:
                    # Before anything is read: if signatures are required, no sync may end without a signature.
                    self._signing_key = signing_key_of(self.store, self.tenant.tenant_id, self.now())
                refresh = load_stage(stage)
                context = self._context(stage, self.now())
                progress = refresh(context)
                self._close_stage(context, stage, progress)
        except BaseException as error:
            self._failure = (stage, error)
            raise
        if self._failure and self._failure[0] is stage:
            self._failure = None  # Dagster retried the stage
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
        self.stages = tuple(Stage)
        return [self.run(stage) for stage in Stage]

    def reader(self) -> Reader:
        """Return the connection, which threads share; the first call opens it."""
        with self._opening:
            if self._reader is None:
                self._reader = open_reader(self.tenant, self.deadline)
            return self._reader

    def _context(self, stage: Stage, now: datetime) -> StageContext:
        with self.store.begin(self.tenant.tenant_id) as session:
            start = stage_start(session, stage, now.astimezone(UTC).date())
            now = start.time_of_writes(now)
            redacted_since = start.redacted_since
            # Each stage records the redaction settings: a sync with other settings may have run since the previous
            # stage. A new catalog of token patterns also makes the settings differ.
            redaction = self.tenant.redaction
            if (digest := redaction.digest()) != start.redaction_digest:
                redaction_epoch.record_redaction_settings(session, redaction, digest, now, self.sync_id)
                redacted_since = now
        version_prefetch = None
        if stage is Stage.REGISTERED_MODELS:
            self._settlement.begin(start.newest_hint)
            self._begin_early(start.newest_version_revision)
        elif self._loading:
            self._loading.result()
            if stage is Stage.TRAINING_RUNS and any(report.progress.changed for report in self.reports):
                self._loading = compile_in_background()  # while the runs of the changed versions are read
        if stage is Stage.CANONICAL_RECORDS and self._reader:
            _ = self._reader.server  # waits for its thread: the offline stages may fork, which copies no thread
        if stage is Stage.MODEL_VERSIONS:
            version_prefetch, self._version_prefetch = self._version_prefetch, None
            if version_prefetch and not version_prefetch.is_current(start.newest_version_revision):
                version_prefetch = None
        return StageContext(
            stage=stage,
            tenant=self.tenant,
            store=self.store,
            sync_id=self.sync_id,
            reader=self.reader,
            now=now,
            options=self.options,
            last_reconciled_at=_last_reconcile(redacted_since, start.reconciled_at),
            report_progress=lambda done, total: self.report_progress(stage, done, total),
            deadline=self.deadline,
            history=HistoryBudget(
                self.tenant.history.max_bytes_per_day,
                now.astimezone(UTC).date(),
                start.history_bytes,
                sync_held_back=self._held_back,
                stored_held_back=start.held_back,
            ),
            declared_systems_digest=start.declared_systems_digest,
            version_prefetch=version_prefetch,
            left_to_listing=self._left_to_listing,
            make_entry=self.make_entry,
        )

    def _begin_early(self, stored_revision: int | None) -> None:
        """Request the listing of versions and load what later stages need while this stage waits for the server.

        Databricks lists the versions of each model separately, so they cannot be requested before the models are known.
        """
        is_listed_later = (
            Stage.MODEL_VERSIONS in self.stages and self.tenant.server.kind == "mlflow" and not self.options.is_targeted
        )
        if is_listed_later and self._version_prefetch is None:
            self._version_prefetch = VersionPrefetch(self.reader().model_versions(), stored_revision)
        self._loading = self._loading or load_in_background(self.stages)

    def _close_stage(self, context: StageContext, stage: Stage, progress: Progress) -> None:
        if (more := len(progress.read_failures) - max_failure_entries(stage)) > 0:
            progress.notes.append(Note(f"{more:,} more objects could not be read"))
        if sentence := context.history.sentence:
            progress.notes.append(Note(sentence))
            progress.incomplete += context.history.held_back
        self._held_back += context.history.held_back
        with context.begin() as session:
            context.history.record(session, context.now)
            # A stage that was cut short does not count as refreshed: if this continues, the tenant becomes stale.
            if not progress.is_cut_short and not (self.options.is_targeted and stage in _STAGES_OF_THE_SERVER):
                tenancy.record_refresh(session, stage, self.sync_id, context.now, reconciled=progress.is_reconcile)
            record_read_failures(context, session, progress)
            if progress.changed >= _MANY_CHANGES:  # the next stage joins the tables that this stage filled
                analyze_grown_tables(session, [*metadata.tables.values()])

    def _start_entry(self) -> AuditEntry:
        return self.make_entry("sync started", "noted", reason=None, counts={"options": self.options.for_trail()})

    def _end_entry(self, still_incomplete: int) -> AuditEntry:
        reasons = [note.text for report in self.reports for note in report.progress.notes]
        incomplete = [f"{n:,} of {report.stage}" for report in self.reports if (n := report.progress.incomplete)]
        is_cut_short = any(report.progress.is_cut_short for report in self.reports)
        outcome: Outcome = "incomplete" if incomplete or is_cut_short else "complete"
        if incomplete:
            reasons.append(f"not read in full: {', '.join(incomplete)}")
        if still_incomplete:
            # The outcome covers this sync alone. Failures of earlier syncs that still last are reported, too.
            reasons.append(f"incomplete records of living versions: {still_incomplete:,}")
        if len(reasons) > MAX_COUNTED_NOTES:
            reasons[MAX_COUNTED_NOTES:] = [f"{len(reasons) - MAX_COUNTED_NOTES:,} more notes"]
        if self._failure:
            stage, error = self._failure
            outcome = "failed"
            reasons.insert(0, f"{stage}: {_error_text(error)}")
        counts: dict[str, object] = {report.stage.value: report.counts() for report in self.reports}
        if self._reader:
            counts["server"] = asdict(self._reader.server)
        traffic = self._traffic()  # after the server's version was read
        counts["requests"], counts["bytes_read"] = traffic.requests, traffic.bytes_read
        counts["seconds"] = round(self.telemetry.seconds, 3)
        if traffic.circuit_openings:
            counts["circuit_openings"] = traffic.circuit_openings
        counts["incomplete_records"] = still_incomplete
        if self.options.only is not None:
            counts["only"] = len(self.options.only)
        return self.make_entry("sync ended", outcome, reason="; ".join(reasons) or None, counts=counts)

    def make_entry(
        self,
        kind: EntryKind,
        outcome: Outcome,
        *,
        reason: str | None,
        object_kind: str | None = None,
        object_name: str | None = None,
        counts: Mapping[str, object] | None = None,
    ) -> AuditEntry:
        """Return an audit entry about something that happened in this sync."""
        return AuditEntry(
            tenant_id=self.tenant.tenant_id,
            occurred_at=self.now(),
            kind=kind,
            sync_id=self.sync_id,
            source_uri=self.tenant.tracking_uri,
            outcome=outcome,
            code_version=__version__,
            dagster_run_id=self.dagster_run_id,
            credential_identity=_credential_identity(self.tenant),
            server_version=self._reader.server.version if self._reader else None,
            object_kind=object_kind,
            object_name=object_name,
            reason=reason,
            counts=counts or {},
        )

    def _traffic(self) -> Traffic:
        # The counters are copied, because the connection keeps counting.
        traffic = self._reader.traffic if self._reader else Traffic()
        return replace(traffic)


def _last_reconcile(redacted_since: datetime | None, reconciled_at: datetime | None) -> datetime | None:
    """Return the time of the last reconcile; None if it ran under other redaction settings."""
    if reconciled_at and redacted_since and reconciled_at < redacted_since:
        return None
    return reconciled_at


def _credential_identity(tenant: Tenant) -> str:
    try:
        return tenant.auth.identity()
    except SecretUnavailableError as error:
        return f"{tenant.auth.kind} ({error})"


def _error_text(error: BaseException) -> str:
    """Return an error for the audit trail; of an error that is not ours, only the type: its text may quote anything."""
    if not isinstance(error, Exception):  # Ctrl-C, SIGTERM, a run that Dagster terminates
        return "the sync was interrupted"
    is_ours = type(error).__module__.startswith("verifywise_mlflow.")
    return str(error) if is_ours else f"unexpected {type(error).__name__}: see the log"
