"""The current state of versions for lineage, with the hashes and the sync that identify the state's inputs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from verifywise_mlflow.persistence.queries.delivery_states import DeliveryState, delivery_states
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges


@dataclass(frozen=True, slots=True)
class LineageState:
    """A version's state, and the hashes that identify it."""

    delivery: DeliveryState
    record_hash: str
    """SHA-256 of the canonical record's content."""
    record_revision: int
    policy_digest: str
    """A digest of the policies that evaluated the version last."""
    evaluated_at: datetime
    sync_id: str
    """The sync that wrote the record."""


def lineage_states(session: TenantSession, keys: Collection[Key], at: datetime) -> dict[Key, LineageState]:
    """Return the states of versions by key. Versions that were not evaluated yet are left out."""
    if not keys:
        return {}
    records, badges = canonical_records, compliance_badges
    rows = session.execute(
        select(
            *(records.c.model_name, records.c.version_number, records.c.fingerprint, records.c.revision),
            *(badges.c.policy_digest, badges.c.evaluated_at, records.c.sync_id),
        )
        .select_from(records.join(badges, same_version(badges, records)))
        .where(records.c.tenant_id == session.tenant_id, is_one_of(records, keys))
    )
    marks = {(name, number): others for name, number, *others in rows}
    return {
        state.key: LineageState(state, *marks[state.key])
        for state in delivery_states(session, keys, at)
        if state.key in marks
    }
