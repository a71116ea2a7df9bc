"""The interface of the systems to which verdicts are delivered.

A target receives the pending versions of the outbox, reads their current state from the store, and makes the other
system agree with it. The outbox coalesces changes: if a version changed several times since the last delivery, it is
pending once. So a target compares states. It must not rely on seeing each change.

The drain (``drain.py``) does the work that all targets share. It runs at most one delivery per tenant and target at the
same time. It requires a confirmation for a large first delivery. It retries and parks versions, and records each batch
in the audit trail. It opens a target only if something is due, so a tenant without changes costs no request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion
from verifywise_mlflow.tenants.delivery.target_name import TargetName


class OutcomeKind(StrEnum):
    """How the delivery of a version ended."""

    DELIVERED = "delivered"
    """The other system agrees with the store, or a person there changed the fields that we would write. The version is
    no longer pending."""
    DEFERRED = "deferred"
    """The version was not tried, or not completely delivered, for a reason unrelated to the version: a rate limit, or a
    server that is down. The version stays pending, and no try is counted."""
    FAILED = "failed"
    """The other system refused the version. The version is tried again; after ``MAX_TRIES`` tries it is parked."""
    PARKED = "parked"
    """A person has to decide, since another try cannot succeed: two remote entries match, or a field is refused."""


@dataclass(frozen=True, slots=True)
class VersionOutcome:
    """How the delivery of one version ended."""

    version: PendingVersion
    kind: OutcomeKind
    reason: str | None = None
    """The reason as a sentence without secrets. For a delivered version, it states what was left alone and why; None if
    nothing was left alone."""
    retry_at: datetime | None = None
    """The earliest time of the next try, if the other system named a time."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch."""

    outcomes: Sequence[VersionOutcome]
    """One outcome for each version of the batch."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """The numbers of writes by kind, for the audit trail and for people: ``{"create entry": 3, "requests": 9}``."""
    stop_reason: str | None = None
    """Why no further batch may be tried now: the server is down, or our rate limit is used up."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One write that a delivery would make."""

    action: str
    """The kind of write: ``create entry``, ``open risk``, ``add evidence file``, ``post event``…"""
    model_name: str
    version_number: int
    detail: str = ""
    """The fields that change, or the rule."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes that a delivery would make now. ``deliver run`` makes exactly these writes."""

    changes: Sequence[PlannedChange]
    left_alone: Sequence[PlannedChange] = ()
    """Writes that are left out, since a person changed the same fields in the other system."""
    new_entries: int = 0
    """The number of new entries, which ``confirm_above`` limits. 0 for a target that needs no confirmation."""

    def counts(self) -> dict[str, int]:
        """Return the number of changes by action. Actions are in the order in which they first occur."""
        counts: dict[str, int] = {}
        for change in self.changes:
            counts[change.action] = counts.get(change.action, 0) + 1
        return counts


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One result of ``deliver check``."""

    subject: str
    works: bool
    sentence: str
    """What was found and, if something does not work, what to do."""


class Connection(Protocol):
    """An open target. It may cache objects of the other system until it is closed."""

    @property
    def destination(self) -> str:
        """The address and the organization or account to which the ledger's remote ids belong; not secret."""

    @property
    def identity(self) -> str:
        """Our identity at the target, in a form that the audit trail may contain."""

    def plan(self, batches: Iterator[Sequence[PendingVersion]]) -> Plan:
        """Return the writes that a delivery of these versions would make. Nothing is written.

        Raises:
            HttpError: the other system cannot be read.
        """

    def deliver(self, batch: Sequence[PendingVersion]) -> BatchResult:
        """Write the differences of these versions. Failures of the other system are outcomes, not exceptions.

        A process that is killed loses no write. A target that creates objects records each write in the ledger before
        it is sent and after it succeeded, in separate transactions, so that no object is created twice. A target that
        sends events may send an event again.

        Raises:
            DatabaseError: the store cannot be used.
        """


class Target(Protocol):
    """A configured target of one tenant. Creating it sends no request and resolves no secret."""

    @property
    def name(self) -> TargetName:
        """The target's name in the outbox, in the ledger and on the command line."""

    @property
    def address(self) -> str:
        """The address without credentials, for people and for the audit trail."""

    @property
    def settings_digest(self) -> str:
        """A digest of the settings that decide what is delivered. If it changes, all versions become pending again."""

    @property
    def delivers_existing(self) -> bool:
        """Whether a new target, or one with changed settings, receives all versions rather than only later changes."""

    @property
    def confirm_above(self) -> int | None:
        """The maximum number of new entries in a first delivery without a person's confirmation; None: any number."""

    @property
    def batch_size(self) -> int:
        """The number of versions per batch. Each batch is one entry of the audit trail."""

    def check(self) -> Sequence[CheckFinding]:
        """Check what works at the target, without writing anything. Failures are findings."""

    def connect(self) -> AbstractContextManager[Connection]:
        """Open the target for one delivery.

        Raises:
            HttpError: the other system cannot be reached, or it refuses the credentials.
            SecretUnavailableError: the reference of a credential cannot be resolved.
            TenantsFileError: the tenant's policies, whose rules are delivered, cannot be loaded.
        """
