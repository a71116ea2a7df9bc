"""The entries of the audit trail about one version, as the texts that were hashed, and the checkpoint after them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from verifywise_mlflow.audit.chain import ChainLink
from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.common.abbreviation import abbreviate
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.queries.committed_states import readable_trail
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

MAX_ENTRIES = 5_000
"""The maximum number of entries about a version; the newest are returned. ``audit export`` exports the whole trail."""

# One pass parses each of the tenant's entries once, since no index has the version that an entry is about.
_ENTRIES = text(
    f"""
    SELECT sequence, entry, entry_hash
    FROM (
        SELECT sequence, entry, entry_hash, entry::jsonb AS parts
        FROM {SCHEMA}.audit_trail
        WHERE tenant_id = :tenant
    ) AS trail
    WHERE (parts ->> 'occurred_at')::timestamptz <= :until
      AND (parts ->> 'object_name' = ANY(:names)
           OR parts ->> 'kind' IN ('sync started', 'sync ended') AND parts ->> 'sync_id' = ANY(:syncs))
    ORDER BY sequence DESC
    LIMIT :limit
    """  # noqa: S608  # the schema's name is checked when it is configured
)
_LAST = text(
    f"""
    SELECT sequence, (entry::jsonb ->> 'occurred_at')::timestamptz
    FROM {SCHEMA}.audit_trail WHERE tenant_id = :tenant
    ORDER BY sequence DESC LIMIT 1
    """  # noqa: S608
)
_CHECKPOINT = text(
    f"""
    SELECT checkpoint, signature FROM {SCHEMA}.audit_checkpoints
    WHERE tenant_id = :tenant
    ORDER BY sequence < :sequence, CASE WHEN sequence < :sequence THEN -sequence ELSE sequence END, signature
    LIMIT 1
    """  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class VersionTrail:
    """The entries of the trail about a version."""

    links: tuple[ChainLink, ...]
    """Oldest first."""
    is_truncated: bool
    """Whether older entries are left out."""
    checkpoint: Checkpoint | None
    """The first checkpoint that covers all of the links, or else the last checkpoint; None if no checkpoint was
    signed."""


def version_trail(
    session: TenantSession, names: Collection[str], sync_ids: Collection[str], until: datetime
) -> VersionTrail:
    """Return the newest entries, up to a given time, that name one of the objects, or start or end one of the syncs.

    Raises:
        DatabaseError: an entry was changed so that it cannot be read.
    """
    parameters = {
        "tenant": escape(session.tenant_id),
        "until": until,
        "names": [escape(abbreviate(name)) for name in names],
        "syncs": list(sync_ids),
        "limit": MAX_ENTRIES + 1,
    }
    with readable_trail(session.tenant_id):
        newest = [ChainLink(*row) for row in session.execute(_ENTRIES, parameters)]
    links = tuple(reversed(newest[:MAX_ENTRIES]))
    last = links[-1].sequence if links else 0
    row = session.execute(_CHECKPOINT, {"tenant": escape(session.tenant_id), "sequence": last}).first()
    return VersionTrail(links, len(newest) > MAX_ENTRIES, Checkpoint(*row) if row else None)


def last_recorded_at(session: TenantSession) -> datetime | None:
    """Return the time of the last entry in the tenant's trail; None without a trail.

    Raises:
        DatabaseError: the entry was changed so that its time cannot be read.
    """
    with readable_trail(session.tenant_id):
        row = session.execute(_LAST, {"tenant": escape(session.tenant_id)}).first()
    return row[1] if row else None
