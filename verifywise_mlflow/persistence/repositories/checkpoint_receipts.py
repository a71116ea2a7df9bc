"""Which checkpoint of the audit trail each witness has. Append-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, insert, select
from sqlalchemy.engine import Row

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.verification import AnchoredCheckpoint
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import audit_checkpoints, audit_trail, checkpoint_receipts


@dataclass(frozen=True, slots=True)
class CheckpointReceipt:
    """A witness's statement that the witness has had a checkpoint since a given time."""

    witness: str
    stored_at: datetime
    sequence: int
    """The entry that the checkpoint signs."""
    signature: str
    """The signature of the checkpoint, in hex."""
    details: Mapping[str, str]
    """Where the witness has the checkpoint, or a time-stamp token."""


def newest_checkpoint(session: TenantSession) -> AnchoredCheckpoint | None:
    """Return the tenant's checkpoint of the latest entry; None if nothing was signed yet."""
    table = audit_checkpoints.c
    row = session.execute(
        select(table.sequence, table.checkpoint, table.signature)
        .where(table.tenant_id == session.tenant_id)
        .order_by(table.sequence.desc(), table.signature)
        .limit(1)
    ).first()
    return None if row is None else AnchoredCheckpoint(row.sequence, Checkpoint(row.checkpoint, row.signature))


def entry_hash(session: TenantSession, sequence: int) -> str | None:
    """Return the hash of an entry of the tenant's trail; None if there is no such entry."""
    table = audit_trail.c
    return session.scalar(
        select(table.entry_hash).where(table.tenant_id == session.tenant_id, table.sequence == sequence)
    )


def last_receipts(session: TenantSession) -> dict[str, CheckpointReceipt]:
    """Return the last receipt of each witness by its name."""
    table = checkpoint_receipts.c
    rows = session.execute(_receipts(session).distinct(table.witness).order_by(table.witness, table.stored_at.desc()))
    return {row.witness: _receipt(row) for row in rows}


def receipts_with_checkpoints(session: TenantSession) -> Iterator[tuple[CheckpointReceipt, Checkpoint]]:
    """Yield all receipts of stored checkpoints, oldest first, each with its checkpoint."""
    table, signed = checkpoint_receipts.c, audit_checkpoints.c
    of_receipt = and_(
        signed.tenant_id == table.tenant_id, signed.sequence == table.sequence, signed.signature == table.signature
    )
    query = _receipts(session).add_columns(signed.checkpoint).join(audit_checkpoints, of_receipt)
    for row in session.execute(query.order_by(table.stored_at, table.witness)):
        yield _receipt(row), Checkpoint(row.checkpoint, row.signature)


def append(session: TenantSession, receipt: CheckpointReceipt) -> None:
    """Record what a witness answered."""
    session.execute(
        insert(checkpoint_receipts).values(
            tenant_id=session.tenant_id,
            witness=receipt.witness,
            stored_at=receipt.stored_at,
            sequence=receipt.sequence,
            signature=receipt.signature,
            receipt=dict(receipt.details),
        )
    )


def _receipts(session: TenantSession) -> Select[tuple[str, datetime, int, str, dict[str, str]]]:
    table = checkpoint_receipts.c
    return select(table.witness, table.stored_at, table.sequence, table.signature, table.receipt).where(
        table.tenant_id == session.tenant_id
    )


def _receipt(row: Row[tuple[str, datetime, int, str, dict[str, str]]]) -> CheckpointReceipt:
    return CheckpointReceipt(row.witness, row.stored_at, row.sequence, row.signature, row.receipt)
