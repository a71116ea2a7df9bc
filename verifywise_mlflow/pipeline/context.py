"""The six stages, and what one of them has to say when it is through."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from verifywise_mlflow.audit.entry import MakeEntry
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.store import Connection, Store
from verifywise_mlflow.tenants.tenant import Tenant


class Stage(StrEnum):
    """The stages in the order in which the data passes through them. They are also the assets' and tables' names."""

    REGISTERED_MODELS = "registered_models"
    MODEL_VERSIONS = "model_versions"
    TRAINING_RUNS = "training_runs"
    ARTIFACT_MANIFESTS = "artifact_manifests"
    CANONICAL_RECORDS = "canonical_records"
    COMPLIANCE_RESULTS = "compliance_results"


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """What a sync is to do beyond what is due."""

    reconcile: bool = False
    """Read all linked runs and failed manifests again, whatever the tenant's interval says."""
    rehash: bool = False
    """List and hash all artifacts again, whatever the tenant's interval says."""
    accept_removals: str | None = None
    """Who has looked at the server, and why a large loss may pass that is held back otherwise; for the trail."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that could not be read. It is reported when it is new, or for a new reason."""

    kind: str
    name: str
    reason: str


@dataclass(slots=True)
class Progress:
    """What a stage found while it went through its work. Counts are of its own kind of object."""

    read: int = 0
    """Objects that the server showed, or, offline, that were due."""
    changed: int = 0
    """Objects whose row was written."""
    removed: int = 0
    """Objects that were found gone."""
    incomplete: int = 0
    """Objects that could not be read, or only in part."""
    events: int = 0
    """Lifecycle events that were told."""
    unreadable: list[Unreadable] = field(default_factory=list)
    told: int = 0
    """How many of these the trail was told of."""
    integrity: list[IntegrityEvent] = field(default_factory=list)
    """Bytes that changed under versions that did not."""
    notes: list[str] = field(default_factory=list)
    """Sentences for people: why a listing is incomplete, what was held back."""
    reconciled: bool = False
    """Whether everything was read anew."""
    store_requests: int = 0
    """Sent to object stores and other servers than the tenant's MLflow."""
    protections: tuple[str, ...] = ()
    """What was in force in the sandbox; empty where nothing had to be hashed or parsed."""


@dataclass(frozen=True, slots=True)
class StageReport:
    """A stage that is through."""

    stage: Stage
    progress: Progress
    requests: int
    bytes_read: int
    seconds: float

    @property
    def found_nothing_new(self) -> bool:
        """Whether nothing was written. Notes say what stays so, as that a loss is held back, in each sync anew."""
        found = self.progress
        return not (found.changed or found.removed or found.events or found.integrity or found.unreadable)

    def counts(self) -> dict[str, int | float | list[str]]:
        """Return the figures for the audit trail and for programs."""
        progress = self.progress
        return {
            "read": progress.read,
            "changed": progress.changed,
            "removed": progress.removed,
            "incomplete": progress.incomplete,
            "requests": self.requests,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
            **({"store_requests": progress.store_requests} if progress.store_requests else {}),
            **({"lifecycle_events": progress.events} if progress.events else {}),
            **({"integrity_events": len(progress.integrity)} if progress.integrity else {}),
            **({"notes": progress.notes} if progress.notes else {}),
            **({"sandbox": list(progress.protections)} if progress.protections else {}),
        }


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage works with."""

    tenant: Tenant
    store: Store
    sync_id: str
    reader: Callable[[], Reader]
    """Opens the connection at first need: the last two stages never call it."""
    now: datetime
    options: SyncOptions
    last_reconciled_at: datetime | None
    """When this stage last read everything anew."""
    show: Callable[[int, int], None]
    """Takes how many objects are done, and of how many."""
    entry: MakeEntry
    """Makes an entry of the audit trail: ``Sync.entry``. It is to be appended in the transaction that it tells of."""

    def begin(self) -> AbstractContextManager[Connection]:
        """Open a transaction of the tenant."""
        return self.store.begin(self.tenant.tenant_id)

    @property
    def is_reconcile_due(self) -> bool:
        """Whether everything is to be read anew now.

        A tenth of the interval is given: a schedule that fires as often as the interval must not find
        each second round a few seconds too early.
        """
        if self.options.reconcile or self.last_reconciled_at is None:
            return True
        return self.now - self.last_reconciled_at >= 0.9 * self.tenant.intervals.reconcile
