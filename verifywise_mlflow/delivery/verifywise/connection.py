"""One delivery to VerifyWise. It plans or executes the steps of each pending version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from verifywise_mlflow.delivery.target import BatchResult, OutcomeKind, Plan, PlannedChange, VersionOutcome
from verifywise_mlflow.delivery.verifywise import entry
from verifywise_mlflow.delivery.verifywise.errors import ConflictError, OutcomeUnknownError, RefusedError
from verifywise_mlflow.delivery.verifywise.executor import Executor
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.steps import DEFINE, AmbiguousError, DefineField, LeftAlone, Step, Write
from verifywise_mlflow.delivery.verifywise.version_steps import file_steps, record_steps, retirement_steps
from verifywise_mlflow.delivery.verifywise.workload import DeliverySettings, Workload, workloads
from verifywise_mlflow.http.errors import HttpError, NotFoundError, RateLimitedError
from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store

_DEFAULT_WAIT: Final = timedelta(minutes=15)
"""The wait after a rate limit that states no time. It is the longest window of VerifyWise's limits."""
_OF_ONE_VERSION: Final = (RefusedError, ConflictError, OutcomeUnknownError, NotFoundError)
"""Errors that affect only one version."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """The reason why a delivery is postponed, and the time until when, if the server stated it."""

    sentence: str
    until: datetime | None


class _FilesPausedError(Exception):
    """The limit of requests about files is used up."""


class VerifyWiseConnection:
    """An open connection, for one delivery."""

    def __init__(
        self, remote: RemoteState, store: Store, settings: DeliverySettings, now: Callable[[], datetime]
    ) -> None:
        """Store the open client and the settings of the delivery."""
        self._remote, self._store, self._settings, self._now = remote, store, settings, now
        self._files_pause: _Pause | None = None

    @property
    def destination(self) -> str:
        """A digest of the address and the organization."""
        return self._settings.destination

    @property
    def identity(self) -> str:
        """The login, or the reference of the token."""
        return self._settings.verifywise.auth.identity()

    def plan(self, batches: Iterator[Sequence[PendingVersion]]) -> Plan:
        """Return the writes that a delivery of these versions would make."""
        changes: list[PlannedChange] = []
        left_alone: list[PlannedChange] = []
        defined: set[str] = set()
        remote = RemoteState(self._remote.client, reads_current=False)
        for work in chain.from_iterable(map(self._load, batches)):
            name, number = work.version.key
            try:
                for step in _all_steps(work, remote):
                    match step:
                        case Write():
                            changes.append(PlannedChange(step.action, name, number, step.detail))
                        case DefineField() if step.field_key not in defined:
                            defined.add(step.field_key)
                            changes.append(PlannedChange(DEFINE, name, number, step.field_key))
                        case LeftAlone():
                            left_alone.append(PlannedChange(step.action, name, number, step.detail))
                        case _:
                            pass
            except AmbiguousError as error:
                left_alone.append(PlannedChange("park version", name, number, str(error)))
        new_entries = sum(change.action == entry.CREATE for change in changes)
        return Plan(changes, left_alone, new_entries)

    def deliver(self, batch: Sequence[PendingVersion]) -> BatchResult:
        """Write the differences of these versions."""
        self._remote = self._remote.reread()  # people and our own writes change objects while batches are delivered
        outcomes: list[VersionOutcome] = []
        counts: Counter[str] = Counter()
        requests_before = self._remote.client.requests
        stop: _Pause | None = None
        for work in self._load(batch):
            if stop is None:
                outcome, stop = self._deliver(work, counts)
            else:
                outcome = VersionOutcome(work.version, OutcomeKind.DEFERRED, stop.sentence, stop.until)
            outcomes.append(outcome)
        if counts:
            counts["requests"] = self._remote.client.requests - requests_before
        return BatchResult(outcomes, dict(counts), stop.sentence if stop else None)

    def _deliver(self, work: Workload, counts: Counter[str]) -> tuple[VersionOutcome, _Pause | None]:
        """Deliver a version. Return its outcome, and a reason if no further version may be tried now."""
        version = work.version
        executor = Executor(self._begin, self._remote, work.subject, work.ledger, self._now, counts)
        try:
            for subject, ledger in work.predecessors:
                predecessor = Executor(self._begin, self._remote, subject, ledger, self._now, counts)
                for step in retirement_steps(ledger, self._remote):
                    predecessor.execute(step)
            if work.desired is not None:
                for step in record_steps(work.desired, work.ledger, self._remote):
                    executor.execute(step)
                self._deliver_files(work, executor)
        except AmbiguousError as error:
            return VersionOutcome(version, OutcomeKind.PARKED, str(error)), None
        except _FilesPausedError:
            pause = self._files_pause
            assert pause is not None  # the error is raised only if there is a pause
            return VersionOutcome(version, OutcomeKind.DEFERRED, pause.sentence, pause.until), None
        except _OF_ONE_VERSION as error:
            return VersionOutcome(version, OutcomeKind.FAILED, str(error)), None
        except HttpError as error:
            stop = self._pause(error)
            return VersionOutcome(version, OutcomeKind.DEFERRED, stop.sentence, stop.until), stop
        reason = f"left alone: {'; '.join(executor.remarks)}" if executor.remarks else None
        return VersionOutcome(version, OutcomeKind.DELIVERED, reason), None

    def _deliver_files(self, work: Workload, executor: Executor) -> None:
        """Deliver the evidence, unless the limit of file requests is used up. Nothing else waits for evidence."""
        assert work.desired is not None  # the caller has checked it
        try:
            for step in file_steps(work.desired, work.ledger, self._remote):
                if self._files_pause and isinstance(step, Write):
                    raise _FilesPausedError
                executor.execute(step)
        except RateLimitedError as error:
            self._files_pause = self._pause(error)
            raise _FilesPausedError from None

    def _pause(self, error: HttpError) -> _Pause:
        if not isinstance(error, RateLimitedError):
            return _Pause(str(error), None)
        wait = timedelta(seconds=error.retry_after) if error.retry_after else _DEFAULT_WAIT
        return _Pause(str(error), self._now() + wait)

    def _load(self, batch: Sequence[PendingVersion]) -> Sequence[Workload]:
        now = self._now()
        with self._begin() as session:
            return list(workloads(session, self._settings, batch, now))

    def _begin(self) -> AbstractContextManager[TenantSession]:
        return self._store.begin(self._settings.tenant.tenant_id)


def _all_steps(work: Workload, remote: RemoteState) -> Iterator[Step]:
    for _, ledger in work.predecessors:
        yield from retirement_steps(ledger, remote)
    if work.desired is not None:
        yield from record_steps(work.desired, work.ledger, remote)
        yield from file_steps(work.desired, work.ledger, remote)
