"""Stage 3: the runs that versions came from, with their experiments, the logged models of MLflow 3, and agents.

Runs are expensive: about 2 ms of the server's time each. So a sync reads the runs of new and changed versions, runs
that are still in progress and runs whose read failed before. Only a reconcile reads all of them, because nothing else
shows that a run's tags or metrics have changed. A registry whose runs fit into one request is always read as a whole,
except by a targeted sync, which reads the runs of new and changed versions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from zlib import crc32

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.models import Experiment, LoggedModel, TrainingRun
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.read_ahead import read_ahead
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.connector.tracking_reader import LOGGED_MODELS_PAGE_SIZE, RUNS_PAGE_SIZE
from verifywise_mlflow.http.errors import (
    DeadlineExceededError,
    ForbiddenError,
    InternalServerError,
    InvalidResponseError,
    LimitExceededError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import stage_watermarks, tracked_objects
from verifywise_mlflow.persistence.repositories.stage_watermarks import StageScope
from verifywise_mlflow.persistence.repositories.tracked_objects import (
    LOGGED_MODELS,
    RUNS,
    ObjectKind,
    PendingRead,
    ReadResult,
    ReadScope,
    StoredRead,
)
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline import agents, evaluations
from verifywise_mlflow.pipeline.context import Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.pending_scope import stage_scope
from verifywise_mlflow.pipeline.recording import record_read_failures

T = TypeVar("T", TrainingRun, LoggedModel)

PAGES_AHEAD = 3
"""The number of pages that are read ahead of the page that is written. The server's adaptive limit decides how many
pages are requested at once."""

MAX_SINGLE_READS = 200
"""The maximum number of objects that a sync requests by ID because a search did not return them. The next reconcile
continues."""

MIN_ROTATED_READS = 1_000
"""A reconcile with more reads than this begins at a different object each time."""

MAX_PAGE_SPLITS = 32
"""The maximum number of times that a sync splits a failed page into halves. Eight splits isolate one bad run among
200."""


def refresh(context: StageContext) -> Progress:
    """Read the runs and logged models that are due; write the objects that differ."""
    progress = Progress(is_reconcile=context.is_reconcile_due)
    with context.begin() as session:
        scope = _scope(context, session)
    experiments = _Experiments(context.reader, progress)
    if not scope.is_empty:
        _refresh_linked(context, progress, scope, experiments)
    if progress.is_reconcile:
        agents.refresh(context, progress, experiments.listing)
    return progress


def _refresh_linked(context: StageContext, progress: Progress, scope: StageScope, experiments: _Experiments) -> None:
    """Read the runs and logged models that versions link to."""
    due_models = _due(context, LOGGED_MODELS, ReadScope.ALL if progress.is_reconcile else ReadScope.CHANGED, scope.keys)
    due_runs = _due_runs(context, progress, scope.keys)
    if due_models or due_runs:
        try:
            _read_due(context, progress, due_models, due_runs, scope.keys, experiments)
        except DeadlineExceededError as error:
            # Objects that were read are stored, and the other reads stay due.
            progress.notes.append(Note(f"not all training runs and logged models were read: {error}"))
            progress.is_cut_short = True
    if not scope.is_current:
        with context.begin() as session:
            if not _is_read_pending(session, scope.keys):
                stage_watermarks.advance(session, scope)


def _scope(context: StageContext, session: TenantSession) -> StageScope:
    """Return the versions whose runs and logged models may be due."""
    scope = stage_scope(context, session, "")
    if scope.keys is None:
        return scope
    again = (tracked_objects.is_read_again(RUNS), tracked_objects.is_read_again(LOGGED_MODELS))
    return scope.including(stage_watermarks.versions_linking(session, *again))


def _is_read_pending(session: TenantSession, among: Sequence[Key] | None) -> bool:
    """Return whether the next sync has to look at all versions.

    It must if an object of a changed version was not read, or if the registry's runs may fit into one request.
    """
    if _is_unread(session, RUNS, among) or _is_unread(session, LOGGED_MODELS, among):
        return True
    return among is None and not tracked_objects.exceeds(session, RUNS, RUNS_PAGE_SIZE)


def _is_unread(session: TenantSession, kind: ObjectKind[T], among: Sequence[Key] | None) -> bool:
    pending = [read.object_id for read in tracked_objects.pending_reads(session, kind, ReadScope.CHANGED, among)]
    stored = tracked_objects.stored_reads(session, kind, pending)
    # Objects that are read again anyway need no changed version.
    return any(object_id not in stored or not stored[object_id].retry for object_id in pending)


def _read_due(
    context: StageContext,
    progress: Progress,
    due_models: Sequence[PendingRead],
    due_runs: Sequence[PendingRead],
    among: Sequence[Key] | None,
    experiments: _Experiments,
) -> None:
    reader = context.reader()
    if due_models:
        model_reader = _ObjectReader(
            LOGGED_MODELS, "logged model", LOGGED_MODELS_PAGE_SIZE, reader.logged_models, reader.logged_model
        )
        _read(context, progress, model_reader, due_models, experiments)
        # A version without a run of its own may have obtained a run through its logged model.
        due_runs = _due_runs(context, progress, among)
    run_reader = _ObjectReader(RUNS, "training run", RUNS_PAGE_SIZE, reader.runs, reader.run)
    _read(context, progress, run_reader, due_runs, experiments)
    if due_models:
        evaluations.refresh(context, progress, [item.object_id for item in due_models])


def _due_runs(context: StageContext, progress: Progress, among: Sequence[Key] | None) -> list[PendingRead]:
    if progress.is_reconcile:
        return _due(context, RUNS, ReadScope.ALL, among)
    if context.options.is_targeted:
        return _due(context, RUNS, ReadScope.CHANGED, among)
    # At most one request. Some registries have thousands of runs that were never ended. If there are too many of
    # them, they wait for the reconcile, as ended runs do.
    with context.begin() as session:
        return tracked_objects.pending_reads_up_to(session, RUNS, RUNS_PAGE_SIZE, among)


def _due(
    context: StageContext, linked: ObjectKind[T], reach: ReadScope, among: Sequence[Key] | None
) -> list[PendingRead]:
    with context.begin() as session:
        due = tracked_objects.pending_reads(session, linked, reach, among)
        if reach is not ReadScope.ALL or len(due) <= MIN_ROTATED_READS:
            return due
        changed = {read.object_id for read in tracked_objects.pending_reads(session, linked, ReadScope.CHANGED)}
    # The objects of new and changed versions come first. The others begin at a position that depends on the sync's ID:
    # if the deadline cuts several syncs short, they do not always leave out the same objects.
    others = [read for read in due if read.object_id not in changed]
    start = crc32(context.sync_id.encode()) % len(others) if others else 0
    return [read for read in due if read.object_id in changed] + others[start:] + others[:start]


@dataclass(slots=True)
class _Experiments:
    """The server's experiments. A search for runs needs their IDs; records show their names."""

    reader: Callable[[], Reader]
    progress: Progress
    names: dict[str, str | None] = field(default_factory=dict)
    _listing: Listing[Experiment] | None = None

    def listing(self) -> Listing[Experiment]:
        """Return all experiments. The first call lists them."""
        if self._listing is None:
            self._listing = self.reader().experiments()
            self.names |= {experiment.experiment_id: experiment.name for experiment in self._listing.rows}
            self.progress.notes += map(Note, self._listing.problems)
        return self._listing

    def ids(self) -> list[str]:
        """Return the IDs of all experiments."""
        return [experiment.experiment_id for experiment in self.listing().rows]

    def name(self, experiment_id: str | None) -> str | None:
        """Return an experiment's name; request an experiment once if the listing lacks it."""
        if experiment_id is None:
            return None
        if experiment_id not in self.names:
            try:
                self.names[experiment_id] = self.reader().experiment(experiment_id).name
            except (NotFoundError, ForbiddenError, RequestRejectedError, InvalidResponseError, InternalServerError):
                self.names[experiment_id] = None
        return self.names[experiment_id]


@dataclass(frozen=True, slots=True)
class _SearchResult(Generic[T]):
    """The objects that a search returned, and the IDs for which it failed, each with the reason."""

    objects: list[T]
    errors: Mapping[str, str]

    def __add__(self, other: _SearchResult[T]) -> _SearchResult[T]:
        return _SearchResult(self.objects + other.objects, {**self.errors, **other.errors})


@dataclass(frozen=True, slots=True)
class _SingleRead(Generic[T]):
    """The result of requesting one object by its ID."""

    entity: T | None = None
    error: str | None = None
    is_retryable: bool = False
    is_deferred: bool = False
    """Whether the object was not requested because the sync has used up its single reads."""


@dataclass(slots=True)
class _ObjectReader(Generic[T]):
    """Reads one kind of object: a page at a time with a search, or a single object by its ID."""

    linked: ObjectKind[T]
    object_kind: str
    page_size: int
    search: Callable[[Sequence[str], Sequence[str]], Listing[T]]
    read_one: Callable[[str], T]
    single_reads: int = 0
    page_splits: int = 0

    def read_page(self, ids: Sequence[str], experiment_ids: Sequence[str]) -> _SearchResult[T]:
        """Search for a page of objects. One bad row makes the server fail the page, so its halves are retried."""
        try:
            listing = self.search(ids, experiment_ids)
        except (InternalServerError, InvalidResponseError, LimitExceededError) as error:
            if len(ids) > 1 and self.page_splits < MAX_PAGE_SPLITS:
                self.page_splits += 1
                middle = len(ids) // 2
                return self.read_page(ids[:middle], experiment_ids) + self.read_page(ids[middle:], experiment_ids)
            return _SearchResult([], dict.fromkeys(ids, str(error)))
        except (EndpointNotFoundError, RequestRejectedError) as error:
            return _SearchResult([], dict.fromkeys(ids, str(error)))
        if listing.is_complete:
            return _SearchResult(list(listing.rows), {})
        return _SearchResult(list(listing.rows), dict.fromkeys(ids, "; ".join(listing.problems[:3])))

    def read_singles(self, search_errors: Mapping[str, str | None], ahead: int) -> dict[str, _SingleRead[T]]:
        """Request the objects that the search did not return, several at a time.

        ``search_errors`` has the search's error for the ID of each object.
        """
        requested = list(search_errors)[: MAX_SINGLE_READS - self.single_reads]
        self.single_reads += len(requested)
        return {
            **{object_id: _deferred(error) for object_id, error in search_errors.items()},
            **dict(read_ahead(requested, self._read_single, ahead)),
        }

    def _read_single(self, object_id: str) -> _SingleRead[T]:
        try:
            return _SingleRead(self.read_one(object_id))
        except NotFoundError:
            return _SingleRead(error=f"{self.object_kind} {object_id} does not exist on the server")
        except (ForbiddenError, RequestRejectedError, EndpointNotFoundError, LimitExceededError) as error:
            return _SingleRead(error=str(error))
        except (InternalServerError, InvalidResponseError) as error:
            return _SingleRead(error=str(error), is_retryable=True)


def _deferred(search_error: str | None) -> _SingleRead[T]:
    reason = search_error or "the search does not show it"
    return _SingleRead(
        error=f"{reason}; not requested by ID yet, because too many are missing",
        is_retryable=search_error is not None,
        is_deferred=True,
    )


def _read(
    context: StageContext,
    progress: Progress,
    reader: _ObjectReader[T],
    due: Sequence[PendingRead],
    experiments: _Experiments,
) -> None:
    experiment_ids = _experiment_ids(context, reader.linked, due, experiments) if due else []
    pages = [due[start : start + reader.page_size] for start in range(0, len(due), reader.page_size)]
    done = 0
    for page, result in read_ahead(
        pages, lambda page: reader.read_page([item.object_id for item in page], experiment_ids), PAGES_AHEAD
    ):
        with context.begin() as session:
            stored = tracked_objects.stored_reads(session, reader.linked, [item.object_id for item in page])
        reads = _single_reads(context, reader, page, result, stored)
        readings = [_reading(item, reads[item.object_id], experiments) for item in page]
        _write(context, progress, reader, readings, stored)
        done += len(page)
        context.report_progress(done, len(due))


def _experiment_ids(
    context: StageContext, linked: ObjectKind[T], due: Sequence[PendingRead], experiments: _Experiments
) -> Sequence[str]:
    """Return the experiments to search.

    A targeted sync searches only the experiments of the due objects, if all these objects were read before: a server
    may have many thousands of experiments, which must not slow down a targeted sync.
    """
    if context.options.is_targeted:
        with context.begin() as session:
            known = tracked_objects.experiments_of(session, linked, [item.object_id for item in due])
        if known is not None:
            return known
    return experiments.ids()


def _object_id(item: TrainingRun | LoggedModel) -> str:
    return item.run_id if isinstance(item, TrainingRun) else item.model_id


def _single_reads(
    context: StageContext,
    reader: _ObjectReader[T],
    page: Sequence[PendingRead],
    result: _SearchResult[T],
    stored: Mapping[str, StoredRead],
) -> Mapping[str, _SingleRead[T]]:
    """Return the result of each object of a page; request the objects that the search did not return."""
    reads = {_object_id(item): _SingleRead(item) for item in result.objects}
    missing: dict[str, str | None] = {}
    for object_id in (item.object_id for item in page if item.object_id not in reads):
        before = stored.get(object_id)
        if before and object_id not in result.errors and _is_known_missing(before):
            # The server said before that the object does not exist, and the search still does not return it.
            reads[object_id] = _SingleRead(error=before.read_error)
        else:
            missing[object_id] = result.errors.get(object_id)
    return reads | reader.read_singles(missing, context.tenant.limits.max_concurrent_requests)


def _reading(due: PendingRead, single: _SingleRead[T], experiments: _Experiments) -> ReadResult[T]:
    experiment_name = experiments.name(single.entity.experiment_id) if single.entity else None
    return ReadResult(
        object_id=due.object_id,
        revision=due.revision,
        entity=single.entity,
        fingerprint=fingerprint(
            {"found": single.entity, "experiment_name": experiment_name, "unreadable": single.error}
        ),
        read_error=single.error,
        retry=single.is_retryable,
        deferred=single.is_deferred,
        experiment_name=experiment_name,
    )


def _is_known_missing(stored: StoredRead) -> bool:
    return stored.read_error is not None and not stored.retry and not stored.deferred


def _write(
    context: StageContext,
    progress: Progress,
    reader: _ObjectReader[T],
    readings: Sequence[ReadResult[T]],
    stored: Mapping[str, StoredRead],
) -> None:
    with context.begin() as session:
        changed = []
        unchanged = []
        for reading in readings:
            before = stored.get(reading.object_id)
            if reading.read_error and (before is None or before.read_error != reading.read_error):
                progress.read_failures.append(ReadFailure(reader.object_kind, reading.object_id, reading.read_error))
            if before is None or _state(before) != _state(reading):
                changed.append(reading)
            elif before.read_for_revision != reading.revision:
                unchanged.append(PendingRead(reading.object_id, reading.revision))
        tracked_objects.write_read_results(session, reader.linked, changed, context.now)
        if unchanged:
            tracked_objects.mark_read(session, reader.linked, unchanged)
        record_read_failures(context, session, progress)
    progress.read += len(readings)
    progress.changed += len(changed)
    progress.incomplete += sum(1 for reading in readings if reading.read_error)


def _state(reading: ReadResult[T] | StoredRead) -> tuple[str, bool, bool]:
    return reading.fingerprint, reading.retry, reading.deferred
