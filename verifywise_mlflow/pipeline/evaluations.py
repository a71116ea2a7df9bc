"""The assessments of the traces of generative applications, which the stage of training runs reads.

One search shows the assessments of all logged models in the experiments that are due. So a sync sends only a handful of
requests, even if there are many versions. It sends none for a tenant without generative versions. As with runs, only a
reconcile reads all assessments, because nothing shows that an assessment was added.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from zlib import crc32

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.models import EvaluationDataset, TraceAssessments
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.errors import (
    DeadlineExceededError,
    HttpError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.normalizer.generative_evaluation import (
    NOT_OFFERED,
    SWITCHED_OFF,
    not_read,
    read_evaluation,
    with_at_least,
)
from verifywise_mlflow.persistence.repositories import evaluations
from verifywise_mlflow.persistence.repositories.evaluations import DueEvaluation
from verifywise_mlflow.pipeline.context import Note, NoteKind, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.recording import record_read_failures

MAX_EXPERIMENTS: Final = 200
"""The maximum number of experiments in one search."""

_NOT_OFFERED: Final = (EndpointNotFoundError, NotFoundError, RequestRejectedError)
"""Errors that show that the server has no such search. In earlier releases of MLflow, the path of the search may match
another endpoint, which refuses the method."""


def refresh(context: StageContext, progress: Progress, among: Collection[str]) -> None:
    """Read the assessments that are due, and store the evaluations that differ.

    Args:
        context: the stage.
        progress: its progress.
        among: the logged models that this sync has read.
    """
    with context.begin() as session:
        due = evaluations.due_evaluations(
            session, among=None if progress.is_reconcile else among, is_reconcile=progress.is_reconcile
        )
    experiments = _experiments(context, progress, due)
    due = [item for item in due if item.experiment_id in experiments]
    if not due:
        return
    error: str | None = None
    try:
        read = _read(context, due, experiments)
    except DeadlineExceededError:
        raise
    except HttpError as failure:
        # Nothing else needs the assessments, so the sync continues.
        error = str(failure)
        read = {item.model_id: item.stored for item in due}
        if any(item.stored_error != error for item in due):
            progress.read_failures.append(ReadFailure("assessments", "of traces", error))
    with context.begin() as session:
        progress.changed += evaluations.write_evaluations(
            session, [(item, read[item.model_id]) for item in due], error, context.now
        )
        record_read_failures(context, session, progress)


def _read(
    context: StageContext, due: Sequence[DueEvaluation], experiments: Sequence[str]
) -> Mapping[str, Mapping[str, Json] | None]:
    """Return the evaluation of each logged model."""
    if not context.tenant.evaluations.assessments:
        return {item.model_id: not_read(SWITCHED_OFF) for item in due}
    reader = context.reader()
    try:
        assessments = reader.trace_assessments(experiments)
    except _NOT_OFFERED:
        return {item.model_id: not_read(NOT_OFFERED) for item in due}
    datasets = _datasets(reader, experiments) if any(item.datasets for item in due) else ()
    return _evaluations(due, assessments, datasets)


def _experiments(context: StageContext, progress: Progress, due: Sequence[DueEvaluation]) -> list[str]:
    """Return the experiments to search. If there are too many, each sync begins at a different experiment."""
    experiments = list(dict.fromkeys(item.experiment_id for item in due))
    if len(experiments) <= MAX_EXPERIMENTS:
        return experiments
    progress.notes.append(
        Note(f"the assessments of {MAX_EXPERIMENTS} of {len(experiments):,} experiments were read", NoteKind.INFO)
    )
    start = crc32(context.sync_id.encode()) % len(experiments)
    return (experiments[start:] + experiments[:start])[:MAX_EXPERIMENTS]


def _evaluations(
    due: Sequence[DueEvaluation], assessments: TraceAssessments, datasets: Sequence[EvaluationDataset]
) -> dict[str, Mapping[str, Json] | None]:
    by_model = {of_model.model_id: of_model for of_model in assessments.models}
    read: dict[str, Mapping[str, Json] | None] = {}
    for item in due:
        evaluation = read_evaluation(
            by_model.get(item.model_id), item.datasets, datasets, is_complete=assessments.is_complete
        )
        if item.stored is not None and not assessments.is_complete:
            evaluation = with_at_least(evaluation, item.stored)
        read[item.model_id] = evaluation
    return read


def _datasets(reader: Reader, experiments: Sequence[str]) -> Sequence[EvaluationDataset]:
    """Return the evaluation data sets that changed last; an empty result if the server cannot list them.

    Raises:
        DeadlineExceededError: the sync's deadline has passed. Any other HTTP error counts as a server that cannot list
            the data sets.
    """
    try:
        return reader.newest_evaluation_datasets(experiments)
    except DeadlineExceededError:
        raise
    except HttpError:
        return ()
