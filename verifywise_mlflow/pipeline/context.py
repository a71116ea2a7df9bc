"""Types that the six stages share: the context that they run in, and the progress and report that they return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from verifywise_mlflow.audit.entry import EntryFactory
from verifywise_mlflow.common.problems import shorten
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.common.untrusted_text import truncate
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.pagination import ListingPages
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.sync_deadline import SyncDeadline
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.history_budget import HistoryBudget
from verifywise_mlflow.pipeline.version_prefetch import VersionPrefetch
from verifywise_mlflow.tenants.tenant import Tenant

MAX_TRAIL_OBJECTS = 20
"""The maximum number of objects in a targeted sync's scope that the audit trail names."""
MAX_TRAIL_NAME = 100
"""The maximum number of characters of each name."""


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """The options of a sync. They add to the work that is due, or replace a part of this work."""

    reconcile: bool = False
    """Read all linked runs and failed manifests again, even if the tenant's reconcile interval has not passed."""
    rehash: bool = False
    """List and hash all artifacts again, even if the tenant's rehash interval has not passed."""
    accept_removals: str | None = None
    """Who checked the server, and why this person accepts a large loss. If this is set, the removal guard does not
    apply, and the outage guard does not apply to model folders that an earlier sync held back. The audit trail stores
    the text."""
    only: tuple[HintedObject, ...] | None = None
    """The models and versions that a targeted sync reads; None for a sync that lists the registry."""

    @property
    def is_targeted(self) -> bool:
        """Whether the sync reads only named objects, so that its results show nothing about other objects."""
        return self.only is not None

    def for_trail(self) -> dict[str, object]:
        """Return the options for the audit trail, with at most ``MAX_TRAIL_OBJECTS`` objects to bound the entry.

        A sync that lists the registry has no scope.
        """
        options = asdict(self)
        if self.only is None:
            del options["only"]
        else:
            first = [replace(item, name=truncate(item.name, MAX_TRAIL_NAME)) for item in self.only[:MAX_TRAIL_OBJECTS]]
            options["only"] = {"count": len(self.only), "first": [asdict(item) for item in first]}
        return options


MAX_COUNTED_NOTES = 10
"""The audit trail and ``--json`` list at most this many notes of a stage or a sync, and count the remaining notes."""


LISTING_SHARE = 0.5
"""The share of a sync's remaining time that the listing of models may take. The listing of versions may take the same
share of the time that remains when it begins."""


class NoteKind(StrEnum):
    """Whether a note needs attention."""

    INFO = "info"
    """No action is needed: a setting of the tenant is the cause, or a later sync continues. The data-quality check
    ``complete`` passes."""
    WARNING = "warning"
    """Data is missing or held back, or a protection is not in force. The data-quality check ``complete`` fails."""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for people about a stage, such as why a listing is incomplete or what was held back."""

    text: str
    kind: NoteKind = NoteKind.WARNING

    def __post_init__(self) -> None:
        """Shorten the sentence, which may quote a server."""
        object.__setattr__(self, "text", shorten(self.text))


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """An object that could not be read. The failure is reported when it is new, and when its reason changes."""

    kind: str
    name: str
    reason: str

    def __post_init__(self) -> None:
        """Shorten the reason, which may quote a server."""
        object.__setattr__(self, "reason", shorten(self.reason))


@dataclass(slots=True)
class Progress:
    """The progress of a stage. Its counts refer to the stage's own kind of object."""

    read: int = 0
    """Objects that the server listed; for the offline stages, objects that were due."""
    changed: int = 0
    """Objects whose row was written."""
    added: int = 0
    """Versions that were written, and that had no row or only a tombstone before."""
    removed: int = 0
    """Objects that got a tombstone."""
    incomplete: int = 0
    """Objects that could not be read at all, or could be read only in part."""
    prompts_changed: int = 0
    """Prompts and versions of prompts that were written or got a tombstone. The stage of versions reads them, too."""
    agents_changed: int = 0
    """Agents that were written or got a tombstone. The stage of training runs reads them, too."""
    lifecycle_event_count: int = 0
    """Lifecycle events that were recorded."""
    read_failures: list[ReadFailure] = field(default_factory=list)
    recorded_read_failures: int = 0
    """How many of ``read_failures`` need no entry in the audit trail any more."""
    integrity_events: list[IntegrityEvent] = field(default_factory=list)
    """Files whose bytes changed although their version did not."""
    notes: list[Note] = field(default_factory=list)
    is_reconcile: bool = False
    """Whether the stage read everything, not only what changed."""
    is_complete_listing: bool = False
    """Whether the stage has listed all objects of its kind, and proved that none is missing."""
    is_cut_short: bool = False
    """Whether the sync's deadline ended the stage before it had read everything. The next sync continues."""
    store_requests: int = 0
    """Requests to object stores and other servers than the tenant's MLflow server."""
    sandbox_protections: tuple[str, ...] = ()
    """Protections that were in force in the sandbox; empty if nothing was parsed or verified in it."""

    @property
    def warnings(self) -> list[Note]:
        """The notes that need attention."""
        return [note for note in self.notes if note.kind is NoteKind.WARNING]


@dataclass(frozen=True, slots=True)
class StageReport:
    """The report of a stage that has run to its end."""

    stage: Stage
    progress: Progress
    requests: int
    bytes_read: int
    seconds: float

    @property
    def is_unchanged(self) -> bool:
        """Whether nothing new was found. Notes do not count: a loss that is held back is noted by every sync."""
        progress = self.progress
        return not (
            progress.changed
            or progress.removed
            or progress.prompts_changed
            or progress.agents_changed
            or progress.lifecycle_event_count
            or progress.integrity_events
            or progress.read_failures
        )

    def counts(self) -> dict[str, int | float | list[str]]:
        """Return the counts for the audit trail and for ``--json``."""
        progress = self.progress
        return {
            "read": progress.read,
            "changed": progress.changed,
            "removed": progress.removed,
            "incomplete": progress.incomplete,
            "requests": self.requests,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
            **({"prompts_changed": progress.prompts_changed} if progress.prompts_changed else {}),
            **({"agents_changed": progress.agents_changed} if progress.agents_changed else {}),
            **({"store_requests": progress.store_requests} if progress.store_requests else {}),
            **({"lifecycle_events": progress.lifecycle_event_count} if progress.lifecycle_event_count else {}),
            **({"integrity_events": len(progress.integrity_events)} if progress.integrity_events else {}),
            **({"notes": first_notes(progress.notes)} if progress.notes else {}),
            **({"sandbox": list(progress.sandbox_protections)} if progress.sandbox_protections else {}),
        }


def first_notes(notes: Sequence[Note]) -> list[str]:
    """Return the sentences of the first notes, and how many more there are."""
    first = [note.text for note in notes[:MAX_COUNTED_NOTES]]
    return [*first, f"{len(notes) - len(first):,} more notes"] if len(notes) > len(first) else first


@dataclass(slots=True)
class LeftToListing:
    """Objects that a targeted sync has read but not written, because only a listing can show them correctly."""

    models: set[str] = field(default_factory=set)
    versions: set[Key] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether any object is left to a listing."""
        return bool(self.models or self.versions)


@dataclass(frozen=True, slots=True)
class StageContext:
    """The dependencies and options of a stage."""

    stage: Stage
    tenant: Tenant
    store: Store
    sync_id: str
    reader: Callable[[], Reader]
    """Returns the connection, which the first call opens; the last two stages never call it."""
    now: datetime
    options: SyncOptions
    last_reconciled_at: datetime | None
    """When this stage last read everything."""
    report_progress: Callable[[int, int], None]
    """A callback that receives how many objects are done, and the total."""
    deadline: SyncDeadline
    """The time after which requests fail."""
    history: HistoryBudget
    """The bytes that the sync may still write to the histories today."""
    make_entry: EntryFactory
    """Makes an entry of the audit trail. Append it in the transaction of the rows that it describes."""
    declared_systems_digest: str | None = None
    """The digest of the declared AI systems in force when the stage began; None if no system was ever declared."""
    version_prefetch: VersionPrefetch | None = None
    """The listing of versions, if an earlier stage of this sync has requested it and no other sync has stored a version
    since then."""
    left_to_listing: LeftToListing = field(default_factory=LeftToListing)
    """Objects that the sync's stages have found and that only a listing can show correctly."""

    def model_versions(self) -> ListingPages[ModelVersion, Key]:
        """Return a listing of the versions, to be read once."""
        return self.version_prefetch.listing() if self.version_prefetch else self.reader().model_versions()

    def begin(self) -> AbstractContextManager[TenantSession]:
        """Open a transaction of the tenant."""
        return self.store.begin(self.tenant.tenant_id)

    @property
    def is_reconcile_due(self) -> bool:
        """Whether the stage must read everything now.

        A reconcile is due after nine tenths of the interval. A schedule may fire once per interval, but a few seconds
        early. If the full interval had to pass, every second firing would find no reconcile due. A targeted sync never
        reads everything.
        """
        if self.options.is_targeted:
            return False
        if self.options.reconcile or self.last_reconciled_at is None:
            return True
        return self.now - self.last_reconciled_at >= 0.9 * self.tenant.intervals.reconcile
