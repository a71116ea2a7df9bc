"""Stage 3: the runs that versions came from, with their experiments, and the logged models of MLflow 3.

Runs are dear: about 2 ms of the server's time each. So a sync reads those of new and changed versions,
those still under way and those that failed before; all of them at a reconcile, since nothing else shows
that a run's tags or metrics have moved. A registry whose runs fit into one request is always read whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.models import LoggedModel, TrainingRun
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.connector.tracking_reader import LOGGED_MODELS_PAGE_SIZE, RUNS_PAGE_SIZE
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    InternalServerError,
    InvalidResponseError,
    LimitExceededError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import tracked_objects
from verifywise_mlflow.persistence.repositories.tracked_objects import (
    LOGGED_MODELS,
    RUNS,
    Due,
    Kept,
    Linked,
    Reach,
    Reading,
)
from verifywise_mlflow.pipeline.context import Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.recording import record_read_failures

T = TypeVar("T", TrainingRun, LoggedModel)

MAX_CONCURRENT_SEARCHES = 2
"""Searches under way at a time. More only make each of them slower on a small MLflow server: measured."""

MAX_SINGLE_READS = 200
"""Objects of a sync that a search did not find and that are asked for by themselves; the next reconcile goes on."""

MAX_PAGE_SPLITS = 32
"""Pages of a sync that are read in halves: eight halvings find one bad run among 200."""

_NOT_ASKED = "not asked for by itself yet, since so many are missing"


def refresh(context: StageContext) -> Progress:
    """Read the runs and logged models that are due; write those that differ."""
    progress = Progress(is_reconcile=context.is_reconcile_due)
    due_models = _due(context, LOGGED_MODELS, Reach.ALL if progress.is_reconcile else Reach.CHANGED)
    due_runs = _due_runs(context, progress)
    if not due_models and not due_runs:
        return progress

    reader = context.reader()
    experiments = _Experiments(reader)
    progress.notes += map(Note, experiments.problems)
    if due_models:
        search = _Search(
            LOGGED_MODELS, "logged model", LOGGED_MODELS_PAGE_SIZE, reader.logged_models, reader.logged_model
        )
        _read(context, progress, search, due_models, experiments)
        # Versions without a run of their own may have got one through their logged model.
        due_runs = _due_runs(context, progress)
    search_runs = _Search(RUNS, "training run", RUNS_PAGE_SIZE, reader.runs, reader.run)
    _read(context, progress, search_runs, due_runs, experiments)
    return progress


def _due_runs(context: StageContext, progress: Progress) -> list[Due]:
    if progress.is_reconcile:
        return _due(context, RUNS, Reach.ALL)
    # As much as one request holds. Runs that were never ended, of which some registries have thousands, wait for the
    # reconcile like the others, if there are too many.
    with context.begin() as session:
        return tracked_objects.due_up_to(session, RUNS, RUNS_PAGE_SIZE)


def _due(context: StageContext, linked: Linked[T], reach: Reach) -> list[Due]:
    with context.begin() as session:
        return tracked_objects.due(session, linked, reach)


@dataclass(slots=True)
class _Experiments:
    """The experiments of the server: a search for runs has to name them, and records show their names."""

    reader: Reader
    names: dict[str, str | None] = field(init=False)
    problems: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        listing = self.reader.experiments()
        self.names = {experiment.experiment_id: experiment.name for experiment in listing.rows}
        self.problems = listing.problems

    @property
    def ids(self) -> list[str]:
        return list(self.names)

    def name(self, experiment_id: str | None) -> str | None:
        """Return an experiment's name; one that the listing left out is asked for once."""
        if experiment_id is None:
            return None
        if experiment_id not in self.names:
            try:
                self.names[experiment_id] = self.reader.experiment(experiment_id).name
            except (NotFoundError, ForbiddenError, RequestRejectedError, InvalidResponseError, InternalServerError):
                self.names[experiment_id] = None
        return self.names[experiment_id]


@dataclass(frozen=True, slots=True)
class _Found(Generic[T]):
    """What a search found, and for which ids it failed, with the reason."""

    objects: list[T]
    failed: Mapping[str, str]

    def __add__(self, other: _Found[T]) -> _Found[T]:
        return _Found(self.objects + other.objects, {**self.failed, **other.failed})


@dataclass(slots=True)
class _Search(Generic[T]):
    """How a kind of object is read: many at once, or one by itself."""

    linked: Linked[T]
    what: str
    batch: int
    many: Callable[[Sequence[str], Sequence[str]], Listing[T]]
    one: Callable[[str], T]
    asked: int = 0
    halved: int = 0

    def read(self, ids: Sequence[str], experiment_ids: Sequence[str]) -> _Found[T]:
        """Search for a batch. One row that the server trips over fails the whole page, so its halves are tried."""
        try:
            listing = self.many(ids, experiment_ids)
        except (InternalServerError, InvalidResponseError, LimitExceededError) as error:
            if len(ids) > 1 and self.halved < MAX_PAGE_SPLITS:
                self.halved += 1
                middle = len(ids) // 2
                return self.read(ids[:middle], experiment_ids) + self.read(ids[middle:], experiment_ids)
            return _Found([], dict.fromkeys(ids, str(error)))
        except (EndpointNotFoundError, RequestRejectedError) as error:
            return _Found([], dict.fromkeys(ids, str(error)))
        if listing.is_complete:
            return _Found(list(listing.rows), {})
        return _Found(list(listing.rows), dict.fromkeys(ids, "; ".join(listing.problems[:3])))

    def ask(self, object_id: str, search_error: str | None) -> tuple[T | None, str | None, bool]:
        """Ask for one object that the search did not show: return it, or why not and whether to try again soon."""
        if self.asked >= MAX_SINGLE_READS:
            reason = search_error or "the search does not show it"
            return None, f"{reason}; {_NOT_ASKED}", search_error is not None
        self.asked += 1
        try:
            return self.one(object_id), None, False
        except NotFoundError:
            return None, f"{self.what} {object_id} does not exist on the server", False
        except (ForbiddenError, RequestRejectedError, EndpointNotFoundError, LimitExceededError) as error:
            return None, str(error), False
        except (InternalServerError, InvalidResponseError) as error:
            return None, str(error), True


def _read(
    context: StageContext, progress: Progress, search: _Search[T], due: Sequence[Due], experiments: _Experiments
) -> None:
    batches = [due[start : start + search.batch] for start in range(0, len(due), search.batch)]
    done = 0
    for batch, found in _ahead(batches, lambda batch: search.read([item.object_id for item in batch], experiments.ids)):
        by_id = {_id(item): item for item in found.objects}
        with context.begin() as session:
            ids = [item.object_id for item in batch]
            kept = tracked_objects.kept(session, search.linked, ids)
        readings = [
            _reading(
                search,
                item,
                by_id.get(item.object_id),
                kept.get(item.object_id),
                found.failed.get(item.object_id),
                experiments,
            )
            for item in batch
        ]
        _write(context, progress, search, readings, kept)
        done += len(batch)
        context.report_progress(done, len(due))


B = TypeVar("B")
R = TypeVar("R")


def _ahead(batches: Sequence[B], fetch: Callable[[B], R]) -> Iterator[tuple[B, R]]:
    """Fetch the next batches while one is worked on: the server's time and ours then overlap."""
    with ThreadPoolExecutor(MAX_CONCURRENT_SEARCHES) as fetchers:
        coming = deque(fetchers.submit(fetch, batch) for batch in batches[:MAX_CONCURRENT_SEARCHES])
        for index, batch in enumerate(batches):
            answer = coming.popleft().result()
            if index + MAX_CONCURRENT_SEARCHES < len(batches):
                coming.append(fetchers.submit(fetch, batches[index + MAX_CONCURRENT_SEARCHES]))
            yield batch, answer


def _id(found: TrainingRun | LoggedModel) -> str:
    return found.run_id if isinstance(found, TrainingRun) else found.model_id


def _reading(
    search: _Search[T],
    due: Due,
    found: T | None,
    before: Kept | None,
    search_error: str | None,
    experiments: _Experiments,
) -> Reading[T]:
    unreadable, retry = None, False
    if found is None and search_error is None and before and _is_settled(before):
        # The server has said before that it is not there, and the search still does not show it.
        unreadable = before.unreadable
    elif found is None:
        found, unreadable, retry = search.ask(due.object_id, search_error)
    experiment_name = experiments.name(found.experiment_id) if isinstance(found, TrainingRun) else None
    return Reading(
        object_id=due.object_id,
        revision=due.revision,
        found=found,
        fingerprint=fingerprint({"found": found, "experiment_name": experiment_name, "unreadable": unreadable}),
        unreadable=unreadable,
        retry=retry,
        experiment_name=experiment_name,
    )


def _is_settled(before: Kept) -> bool:
    return before.unreadable is not None and not before.retry and not before.unreadable.endswith(_NOT_ASKED)


def _write(
    context: StageContext,
    progress: Progress,
    search: _Search[T],
    readings: Sequence[Reading[T]],
    kept: Mapping[str, Kept],
) -> None:
    linked = search.linked
    with context.begin() as session:
        changed = []
        unchanged = []
        for reading in readings:
            before = kept.get(reading.object_id)
            if reading.unreadable and (before is None or before.unreadable != reading.unreadable):
                progress.read_failures.append(ReadFailure(search.what, reading.object_id, reading.unreadable))
            if before is None or (before.fingerprint, before.retry) != (reading.fingerprint, reading.retry):
                changed.append(reading)
            elif before.read_for_revision != reading.revision:
                unchanged.append(Due(reading.object_id, reading.revision))
        tracked_objects.write_readings(session, linked, changed, context.now)
        if unchanged:
            tracked_objects.mark_read(session, linked, unchanged)
        record_read_failures(context, session, progress)
    progress.read += len(readings)
    progress.changed += len(changed)
    progress.incomplete += sum(1 for reading in readings if reading.unreadable)
