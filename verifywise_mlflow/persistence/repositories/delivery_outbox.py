"""The outbox of deliveries: which versions have a state that a target does not have yet.

``enqueue`` is called in the transaction that commits verdicts, so a version is pending if and only if its verdicts were
committed. It does nothing for a tenant without a configured target.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import text

from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

Cause = Literal["verdicts", "waivers", "all versions"]
"""Why a version became pending last. ``all versions``: a new target, or one with other settings."""


@dataclass(frozen=True, slots=True)
class PendingVersion:
    """A version that is pending for a target."""

    model_name: str
    version_number: int
    revision: int
    """Of the row; another one means that the version changed since."""
    cause: Cause
    pending_since: datetime
    """Since when the target does not have the version's state, without interruption."""
    sync_id: str
    """The sync that changed the version last."""
    tries: int
    """Tries that failed since then."""

    @property
    def key(self) -> Key:
        """The version's model name and number."""
        return (self.model_name, self.version_number)


_COLUMNS: Final = "tenant_id, target, model_name, version_number, cause, pending_since, written_at, sync_id"
_SUPERSEDE: Final = """
    ON CONFLICT (tenant_id, target, model_name, version_number) DO UPDATE SET
        cause = excluded.cause, revision = excluded.revision, written_at = excluded.written_at,
        sync_id = excluded.sync_id, tries = 0, not_before = NULL, parked_at = NULL, reason = NULL
"""
_ENQUEUE = text(
    f"""
    INSERT INTO {SCHEMA}.delivery_outbox ({_COLUMNS})
    SELECT :tenant_id, target, model_name, version_number, :cause, CAST(:now AS timestamptz),
           CAST(:now AS timestamptz), :sync_id
    FROM unnest(CAST(:targets AS text[])) AS t (target),
         unnest(CAST(:names AS text[]), CAST(:numbers AS integer[])) AS v (model_name, version_number)
    ORDER BY target, model_name, version_number
    {_SUPERSEDE}
    """  # noqa: S608  # names of our own columns alone
)


def enqueue(
    session: TenantSession,
    targets: Sequence[str],
    keys: Collection[Key],
    *,
    cause: Cause,
    sync_id: str,
    now: datetime,
) -> None:
    """Make versions pending for targets; one that is pending already gets the new revision, and is no longer parked."""
    if not targets or not keys:
        return
    session.execute(
        _ENQUEUE,
        {
            "tenant_id": escape(session.tenant_id),
            "targets": [*targets],
            "names": [escape(name) for name, _ in keys],
            "numbers": [number for _, number in keys],
            "cause": cause,
            "sync_id": escape(sync_id),
            "now": now,
        },
    )
