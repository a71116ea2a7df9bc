"""Verifies a tenant's records: the log against the trail, and the tables against the log.

All transactions see the same state of the database. A large log is verified by several processes: another process
begins with the log, while this process begins to compare versions.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.util import Finalize
from typing import Final

from verifywise_mlflow.audit.log_verification import LogReport
from verifywise_mlflow.common.garbage_collection import collect_less_often
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.queries import state_keys, trail_commitments
from verifywise_mlflow.persistence.queries.version_ranges import VersionRange
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.record_verification.field_search import SearchLimit
from verifywise_mlflow.services.record_verification.judging import Judge
from verifywise_mlflow.services.record_verification.log_check import accepted_parts, check_log, positions
from verifywise_mlflow.services.record_verification.report import Checked, RecordDamage, RecordReport
from verifywise_mlflow.services.record_verification.suspects import suspicious_rows
from verifywise_mlflow.services.record_verification.tenant_check import check_tenant_states
from verifywise_mlflow.services.record_verification.version_check import RebuildRecords, VersionChecker

STATES_PER_BATCH: Final = 4_000
"""The maximum number of logged states in a batch of versions, unless a single version has more."""
MAX_PROCESSES: Final = 4
"""The maximum number of processes. Each process has a connection to Postgres."""
PROCESSES_PER_CORE: Final = 2
"""A process and its connection's server process take turns, so one process for each core would leave cores idle."""
MIN_STATES_FOR_PROCESSES: Final = 20_000
"""The minimum number of states for several processes. With fewer states, starting processes takes longer than it
saves."""


class VerifierLostError(DatabaseError):
    """A process of the verification ended by itself."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is verified."""

    sample: int | None = None
    """The number of versions to verify; None for all."""
    seed: str = ""
    """The seed that chooses the versions: any text that an auditor makes up."""
    judges_all: bool = False
    """Whether each verdict is evaluated again, which takes several times as long."""
    rebuild: RebuildRecords | None = None
    """Builds records again from the stored objects of MLflow, to find the changed field of a damaged record."""
    processes: int | None = None
    """The number of processes; None for a number that suits the size of the log."""


def _ignore_progress(done: int, total: int) -> None:
    """Discard progress reports."""


def verify_records(
    store: Store,
    tenant_id: str,
    scope: Scope | None = None,
    on_progress: Callable[[int, int], None] = _ignore_progress,
) -> RecordReport:
    """Recompute the logged states from the tables, and compare the log with the trail's commitments.

    Args:
        store: The store.
        tenant_id: The tenant.
        scope: What is verified; everything by default.
        on_progress: Receives the number of states that were compared, and the number of all states.

    Raises:
        DatabaseError: The database cannot be read, or a process ended by itself.
        RuleWorkerUnavailableError: A tenant's own rule needs a process, and none could be started.
    """
    collect_less_often()
    scope = scope or Scope()
    started, report = time.monotonic(), RecordReport(tenant_id, sample=scope.sample)
    with ExitStack() as stack:
        session = stack.enter_context(store.begin_snapshot(tenant_id))
        total = state_log.size(session)
        processes = scope.processes
        if processes is None:
            processes = (
                min(MAX_PROCESSES, PROCESSES_PER_CORE * (os.cpu_count() or 1))
                if total >= MIN_STATES_FOR_PROCESSES
                else 1
            )
        worker = stack.enter_context(_Worker.opened(session, scope))
        tasks = _tasks(session, scope)
        if processes > 1:
            url = store.engine.url.render_as_string(hide_password=False)
            snapshot = trail_commitments.export_snapshot(session)
            others = _Processes(processes - 1, _Setting(url, tenant_id, snapshot, scope))
            outcomes = others.run_with(worker, tasks)
        else:
            outcomes = map(worker.do, tasks)
        for outcome in outcomes:
            report.add(outcome.damages)
            report.checked.add(outcome.checked)
            if outcome.log:
                _add_log(report, outcome.log)
                report.accepted = accepted_parts(session, outcome.log)
            on_progress(report.checked.states, total)
        report.not_proved += _not_proved(report, scope)
    report.damages.sort(key=_order)
    report.seconds = time.monotonic() - started
    return report


def _order(damage: RecordDamage) -> tuple[object, ...]:
    return (damage.table, damage.model_name, damage.version_number, str(damage.written_at), damage.row)


_Task = Sequence[VersionRange] | str
"""Versions to compare, or one of the words below."""
_LOG, _TENANT = "log", "tenant"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of a task."""

    damages: Sequence[RecordDamage]
    checked: Checked = field(default_factory=Checked)
    log: LogReport | None = None


def _tasks(session: TenantSession, scope: Scope) -> Iterator[_Task]:
    """Yield the tasks: the log, which takes longest, then the states without a version, then versions in batches."""
    yield _LOG
    yield _TENANT
    if scope.sample is not None:
        sampled = state_keys.sampled_keys(session, scope.sample, scope.seed)
        yield from _batches((VersionRange.of(key), states) for key, states in sampled)
        return
    yield from _batches(state_keys.logged_ranges(session, STATES_PER_BATCH))
    yield from _batches((versions, 1) for versions in state_keys.unlogged_models(session))


def _batches(ranges: Iterable[tuple[VersionRange, int]]) -> Iterator[Sequence[VersionRange]]:
    batch: list[VersionRange] = []
    states = 0
    for versions, count in ranges:
        if batch and states + count > STATES_PER_BATCH:
            yield batch
            batch, states = [], 0
        batch.append(versions)
        states += count
    if batch:
        yield batch


@dataclass(slots=True)
class _Worker:
    """Does tasks in one transaction."""

    session: TenantSession
    checker: VersionChecker
    limit: SearchLimit

    @classmethod
    def opened(cls, session: TenantSession, scope: Scope) -> _Worker:
        """Return a worker."""
        limit = SearchLimit()
        checker = VersionChecker(session, Judge(session), scope.judges_all, scope.rebuild, limit)
        return cls(session, checker, limit)

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.checker.judge.close()

    def do(self, task: _Task) -> _Outcome:
        """Return the result of a task."""
        if task == _LOG:
            return self._verify_log()
        if task == _TENANT:
            checked = Checked()
            return _Outcome([*check_tenant_states(self.session, self.limit, checked)], checked)
        assert not isinstance(task, str)
        self.checker.checked = Checked()
        return _Outcome(self.checker.check(task), self.checker.checked)

    def _verify_log(self) -> _Outcome:
        damages, log = check_log(self.session)
        thorough = VersionChecker(self.session, self.checker.judge, True, self.checker.rebuild, self.limit)
        suspects = [*suspicious_rows(self.session, thorough, log.damages)]
        if self.checker.judges_all:  # the comparison of all versions finds these verdicts, too
            suspects = [damage for damage in suspects if damage.table == "canonical_records"]
        return _Outcome([*damages, *suspects], log=log)


def _add_log(report: RecordReport, log: LogReport) -> None:
    report.committed, report.not_committed = log.committed, log.leaves - log.committed
    report.last_commitment = log.last.sequence if log.last else None


def _not_proved(report: RecordReport, scope: Scope) -> Iterator[str]:
    if report.last_commitment is None:
        yield "the trail commits no states: nothing shows that the log is as it was written"
    if report.not_committed > 0:
        yield (
            f"{report.not_committed:,} states are not committed yet: a sync is under way or was interrupted, or the "
            "last one refused to commit them, which its entry says"
        )
    for part in report.accepted:
        yield (
            f"no sync committed the states at {positions(part.first, part.last)} of the log: a person accepted them, "
            f"as entry {part.entry:,} says"
        )
    if scope.sample is not None:
        versions = report.checked.versions
        which = f"only {versions:,}" if versions == scope.sample else f"all {versions:,}"
        plural = "s were" if versions > 1 else " was"
        yield f"{which} logged version{plural} compared, but no row of a version that the log does not have"
    if not scope.judges_all:
        yield "the verdicts were not derived from their inputs again: --judge does that"
    if report.checked.not_judged:
        yield (
            f"{report.checked.not_judged:,} verdicts were not derived again: their rules are not known any more, or "
            "are those of another release, or a clock went back"
        )


@dataclass(frozen=True, slots=True)
class _Setting:
    """The values that a process needs when it starts."""

    url: str
    tenant_id: str
    snapshot: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class _Processes:
    """Does tasks in other processes while this one does some itself: starting a process takes time."""

    count: int
    """The number of other processes."""
    setting: _Setting

    def run_with(self, worker: _Worker, tasks: Iterable[_Task]) -> Iterator[_Outcome]:
        """Yield the tasks' results, in the order in which tasks end. Only a few are queued, so that memory stays flat.

        Raises:
            VerifierLostError: A process ended by itself.
        """
        remaining = iter(tasks)
        with ProcessPoolExecutor(self.count, _CONTEXT, _begin, (self.setting,)) as pool:
            try:
                pending: set[Future[_Outcome]] = set()
                while True:
                    wanted = _TASKS_AHEAD * self.count - len(pending)
                    pending |= {pool.submit(_do, task) for task in islice(remaining, wanted)}
                    own = next(remaining, None)
                    if own is not None:
                        yield worker.do(own)
                    elif not pending:
                        break
                    done, pending = wait(pending, 0 if own else None, FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            except BrokenProcessPool as error:
                raise VerifierLostError(
                    "a process of the verification ended by itself, often for want of memory: run it again"
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


_CONTEXT: Final = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
"""A forked process has all modules already. It never uses the connections of its parent, and never frees them."""
_TASKS_AHEAD: Final = 2
"""The number of tasks that are queued for each process, so that it has work while this process is busy."""

_worker: _Worker | None = None
"""The worker of this process."""


def _begin(setting: _Setting) -> None:
    """Open the transaction of a process."""
    global _worker  # the only way to keep an object in a process of a pool
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    gc.freeze()
    stack = ExitStack()
    store = stack.enter_context(Store(setting.url))
    session = stack.enter_context(store.begin_snapshot(setting.tenant_id, setting.snapshot))
    _worker = stack.enter_context(_Worker.opened(session, setting.scope))
    Finalize(None, stack.close, exitpriority=10)


def _do(task: _Task) -> _Outcome:
    assert _worker is not None
    return _worker.do(task)
