"""Sends each tenant's newest checkpoint to the witnesses that do not have it, and records their receipts.

The checkpoints in the database are the outbox. A witness that was down gets the newest checkpoint when it is back. This
checkpoint covers all entries of the checkpoints that the witness missed.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from verifywise_mlflow.audit.checkpoint import InvalidCheckpointError, parse_claim
from verifywise_mlflow.audit.verification import AnchoredCheckpoint
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.repositories import checkpoint_receipts
from verifywise_mlflow.persistence.repositories.checkpoint_receipts import CheckpointReceipt
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.witnesses.stamped_checkpoint import StampedCheckpoint
from verifywise_mlflow.witnesses.timestamp_authority import TOKEN, TimestampAuthority
from verifywise_mlflow.witnesses.witness import Receipt, Witness, WitnessError

MAX_SECONDS: Final = 600.0
"""After this time, a run begins with no further tenant. The next run sends the other tenants' checkpoints."""


@dataclass(frozen=True, slots=True)
class SendingResult:
    """How the sending of a checkpoint to a witness ended."""

    tenant_id: str
    witness: str
    sequence: int
    """The entry that the checkpoint signs."""
    problem: str | None = None
    """Why the witness does not have the checkpoint; None if it has the checkpoint."""


@dataclass(frozen=True, slots=True)
class TenantCheckpoints:
    """A tenant's newest checkpoint, and the last checkpoint that each witness has."""

    newest: AnchoredCheckpoint | None
    entry_hash: str | None
    """The hash, according to the trail, of the entry that the newest checkpoint signs; None if the trail lacks the
    entry."""
    receipts: Mapping[str, CheckpointReceipt]
    """The receipts of the last checkpoints, by the witness's name."""

    @classmethod
    def load(cls, session: TenantSession) -> TenantCheckpoints:
        """Load the checkpoint and the receipts from the store."""
        newest = checkpoint_receipts.newest_checkpoint(session)
        entry_hash = checkpoint_receipts.entry_hash(session, newest.sequence) if newest else None
        return cls(newest, entry_hash, checkpoint_receipts.last_receipts(session))

    def is_due(self, witness: Witness, now: datetime, interval: timedelta | None = None) -> bool:
        """Return whether a witness lacks the newest checkpoint, and got its last one at least an interval ago."""
        if self.newest is None:
            return False
        last = self.receipts.get(witness.name)
        if last is None:
            return True
        is_old = now - last.stored_at >= (witness.interval if interval is None else interval)
        return is_old and last.sequence != self.newest.sequence

    def find_contradiction(self, tenant_id: str, newest: AnchoredCheckpoint) -> str | None:
        """Return why the newest checkpoint must not be sent. A forged checkpoint would block genuine checkpoints."""
        try:
            claim = parse_claim(newest.checkpoint)
        except InvalidCheckpointError as error:
            problem = str(error)
        else:
            if (claim.tenant_id, claim.sequence, claim.entry_hash) == (tenant_id, newest.sequence, self.entry_hash):
                return None
            problem = "the trail has another entry there, or none"
        return (
            f"the checkpoint of entry {newest.sequence:,} was not sent: {problem}. Run verifywise-mlflow audit verify "
            f"{tenant_id}"
        )


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Sender:
    """Sends checkpoints to the witnesses of an installation."""

    store: Store
    witnesses: Sequence[Witness]
    now: Callable[[], datetime] = _utc_now
    _down: set[str] = field(default_factory=set)
    """Witnesses that failed in this run. They are not tried again, so that a dead witness costs one time-out per
    run."""

    def has_due(self, tenant_ids: Iterable[str]) -> bool:
        """Return whether a checkpoint of any of the tenants is due."""
        now = self.now()
        for tenant_id in tenant_ids:
            with self.store.begin(tenant_id) as session:
                checkpoints = TenantCheckpoints.load(session)
            if any(checkpoints.is_due(witness, now) for witness in self._witnesses_of(tenant_id)):
                return True
        return False

    def send_all(self, tenant_ids: Iterable[str], *, max_seconds: float = MAX_SECONDS) -> list[SendingResult]:
        """Send the due checkpoints of the tenants."""
        started, results = time.monotonic(), list[SendingResult]()
        for tenant_id in tenant_ids:
            if time.monotonic() - started > max_seconds:
                break
            results += self.send(tenant_id)
        return results

    def send(self, tenant_id: str, interval: timedelta | None = None) -> list[SendingResult]:
        """Send a tenant's newest checkpoint to the witnesses that lack it.

        Args:
            tenant_id: The tenant.
            interval: The minimum time since a witness's last checkpoint; it replaces the witness's setting.
        """
        with self.store.begin(tenant_id) as session:
            checkpoints = TenantCheckpoints.load(session)
        newest, now = checkpoints.newest, self.now()
        witnesses = self._witnesses_of(tenant_id)
        due = {witness.name for witness in witnesses if checkpoints.is_due(witness, now, interval)}
        if newest is None or not due:
            return []
        if problem := checkpoints.find_contradiction(tenant_id, newest):
            return [SendingResult(tenant_id, name, newest.sequence, problem) for name in sorted(due)]
        return list(self._send(tenant_id, newest, witnesses, due))

    def _send(
        self, tenant_id: str, newest: AnchoredCheckpoint, witnesses: Sequence[Witness], due: set[str]
    ) -> Iterator[SendingResult]:
        stamped = StampedCheckpoint(newest.checkpoint)
        for witness in witnesses:
            # An authority stores nothing, so all other witnesses get its token, even if they have the checkpoint.
            if witness.name in self._down or not (witness.name in due or stamped.token):
                continue
            try:
                receipt = witness.store(tenant_id, stamped)
            except (HttpError, SecretUnavailableError, WitnessError) as error:
                if isinstance(error, SecretUnavailableError) or getattr(error, "retryable", False):
                    self._down.add(witness.name)
                yield SendingResult(tenant_id, witness.name, newest.sequence, str(error))
                continue
            self._record(tenant_id, witness, newest, receipt)
            if TOKEN in receipt:
                stamped = replace(stamped, token=b64decode(receipt[TOKEN]))
            yield SendingResult(tenant_id, witness.name, newest.sequence)

    def _record(self, tenant_id: str, witness: Witness, newest: AnchoredCheckpoint, receipt: Receipt) -> None:
        row = CheckpointReceipt(witness.name, self.now(), newest.sequence, newest.checkpoint.signature, receipt)
        with self.store.begin(tenant_id) as session:
            checkpoint_receipts.append(session, row)

    def _witnesses_of(self, tenant_id: str) -> list[Witness]:
        """Return a tenant's witnesses, authorities first."""
        witnesses = (witness for witness in self.witnesses if witness.is_for(tenant_id))
        return sorted(witnesses, key=lambda witness: not isinstance(witness, TimestampAuthority))
