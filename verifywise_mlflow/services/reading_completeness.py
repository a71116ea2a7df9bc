"""Which objects of a tenant's server were read and which were not.

The module returns the results of the listings, the account that read the server (in ``last_sync``), and the objects
that could not be read. All of this comes from the audit trail and the stored rows. No request is sent to the server.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verifywise_mlflow.audit.chain import ChainLink
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.queries.unread_versions import UnreadVersion, count_hidden, unread_versions
from verifywise_mlflow.persistence.repositories import audit_log, tenancy
from verifywise_mlflow.persistence.session import TenantSession

MAX_UNREAD_VERSIONS: Final = 200
MAX_SYNCS: Final = 10
_LISTINGS: Final = (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS)


@dataclass(frozen=True, slots=True)
class StageReading:
    """The result of a stage in the last sync that listed the registry."""

    stage: Stage
    completed_at: datetime | None
    """When the stage last completed; None if it never did."""
    read: int | None
    """The number of objects that the stage read in that sync; None if the sync did not run the stage."""
    incomplete: int
    """The number of objects that the stage could not read, or could read only in part."""
    notes: Sequence[str]
    """The stage's notes, such as why a listing is incomplete."""
    is_listing: bool
    """Whether the stage lists all objects of its kind."""

    @property
    def is_proven_complete(self) -> bool:
        """Whether the listing passed the proof of pagination and each of its rows could be used."""
        return self.is_listing and self.read is not None and not self.incomplete and not self.notes


@dataclass(frozen=True, slots=True)
class Completeness:
    """Which objects of a tenant's server were read, and which were not."""

    stages: Sequence[StageReading]
    last_sync: AuditEntry | None
    """The entry about the end of the last sync that listed the registry."""
    syncs: Sequence[AuditEntry]
    """The entries about the ends of the last syncs, newest first."""
    unread: Sequence[UnreadVersion]
    """Versions whose record is incomplete because an object could not be read, by model and version."""
    unread_count: int
    """The number of all such versions, including the versions that ``unread`` leaves out."""
    hidden_count: int
    """The number of models and versions that a listing omits although the server has them."""
    head: ChainLink | None
    """The last entry of the audit trail, which the figures of a report can be checked against."""


def completeness(session: TenantSession, models: Collection[str] | None = None) -> Completeness:
    """Return which objects of the tenant's server were read so far; ``models`` limits the unread versions."""
    syncs = [entry for _, entry in audit_log.entries(session, limit=MAX_SYNCS, kind="sync ended")]
    # A targeted sync gives no information about objects that it did not read.
    listings = audit_log.entries(session, limit=1, kind="sync ended", untargeted=True)
    last = listings[0][1] if listings else None
    refreshes = tenancy.stage_refreshes_of(session)
    stages = []
    for stage in Stage:
        counts = last.counts.get(stage.value) if last else None
        found = counts if isinstance(counts, Mapping) else {}
        refresh = refreshes.get(stage.value)
        notes = found.get("notes")
        stages.append(
            StageReading(
                stage,
                refresh.refreshed_at if refresh else None,
                _number(found.get("read")),
                _number(found.get("incomplete")) or 0,
                [str(note) for note in notes] if isinstance(notes, Sequence) and not isinstance(notes, str) else (),
                stage in _LISTINGS,
            )
        )
    unread, unread_count = unread_versions(session, MAX_UNREAD_VERSIONS, models)
    return Completeness(stages, last, syncs, unread, unread_count, count_hidden(session), audit_log.head(session))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
