"""Parses MLflow's JSON into the values of ``models.py``.

A row with an identity is accepted even if other fields are unusable: these fields are omitted and listed in
``problems``. For a row without an identity, a parser raises ``InvalidResponseError``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.connector.models import (
    DatasetInput,
    EvaluationDataset,
    Experiment,
    LoggedModel,
    ModelVersion,
    RegisteredModel,
    RemoteFile,
    TrainingRun,
)
from verifywise_mlflow.connector.response_row import MAX_INTEGER, UNUSABLE, Row
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.errors import InvalidResponseError

T = TypeVar("T")

_MALFORMED: Final = "malformed rows"
"""The kind of problem for which a row is left out."""

_MAX_VERSION_NUMBER = 2**31 - 1  # the limit of MLflow's column, and of ours
_MAX_PROFILE = 10_000  # characters of a profile; MLflow's profiles have about 20
_LOGGED_MODEL_STATUS_PREFIX = "LOGGED_MODEL_"


def _version_number(row: Row) -> int:
    return row.integer("version", minimum=1, maximum=_MAX_VERSION_NUMBER)


def registered_model(value: object, intake: TextIntake | None = None) -> RegisteredModel:
    """Parse a row of ``registered-models/search``."""
    row = Row(value, intake)
    aliases: dict[str, int] = {}
    for item in row.rows("aliases"):
        try:
            aliases[item.identity("alias")] = _version_number(item)
        except InvalidResponseError as error:
            row.problems.add(f"an alias could not be used: {error}", UNUSABLE)
    return RegisteredModel(
        name=row.identity("name"),
        description=row.text("description"),
        tags=row.pairs("tags"),
        aliases=aliases,
        created_at=row.time("creation_timestamp"),
        last_updated_at=row.time("last_updated_timestamp"),
        problems=row.problems.sentences(),
    )


def model_version(value: object, intake: TextIntake | None = None) -> ModelVersion:
    """Parse a row of ``model-versions/search``."""
    row = Row(value, intake)
    stage = row.text("current_stage")
    return ModelVersion(
        model_name=row.identity("name"),
        version_number=_version_number(row),
        created_at=row.time("creation_timestamp"),
        last_updated_at=row.time("last_updated_timestamp"),
        stage=None if stage == "None" else stage,
        description=row.text("description"),
        source=row.text("source"),
        run_id=row.text("run_id"),
        status=row.text("status"),
        status_message=row.text("status_message"),
        run_link=row.text("run_link"),
        deployment_job_state=_deployment_job_state(row),
        tags=row.pairs("tags"),
        problems=row.problems.sentences(),
    )


def _deployment_job_state(row: Row) -> str | None:
    job = row.row("deployment_job_state")
    state = job.text("run_state")
    return None if state == "DEPLOYMENT_JOB_RUN_STATE_UNSPECIFIED" else state


def training_run(value: object, intake: TextIntake | None = None) -> TrainingRun:
    """Parse a row of ``runs/search`` or the ``run`` of ``runs/get``."""
    row = Row(value, intake)
    info, data, inputs, outputs = (row.row(part) for part in ("info", "data", "inputs", "outputs"))
    datasets = tuple(_dataset_input(item) for item in inputs.rows("dataset_inputs", "a dataset's "))
    logged_model_ids = tuple(filter(None, (item.text("model_id") for item in outputs.rows("model_outputs"))))
    return TrainingRun(
        run_id=info.text("run_id") or info.identity("run_uuid"),
        experiment_id=info.text("experiment_id"),
        run_name=info.text("run_name"),
        user_id=info.text("user_id"),
        status=info.text("status"),
        lifecycle_stage=info.text("lifecycle_stage"),
        started_at=info.time("start_time"),
        ended_at=info.time("end_time"),
        artifact_uri=info.text("artifact_uri"),
        metrics=data.metrics(),
        params=data.pairs("params"),
        tags=data.pairs("tags"),
        datasets=datasets,
        logged_model_ids=logged_model_ids,
        problems=row.problems.sentences(),
    )


def _dataset_input(item: Row) -> DatasetInput:
    dataset = item.row("dataset", "a dataset's ")
    return DatasetInput(
        name=dataset.text("name"),
        digest=dataset.text("digest"),
        source_type=dataset.text("source_type"),
        source=dataset.text("source"),
        context=item.pairs("tags").get("mlflow.data.context"),
    )


def experiment(value: object, intake: TextIntake | None = None) -> Experiment:
    """Parse a row of ``experiments/search``."""
    row = Row(value, intake)
    return Experiment(
        experiment_id=row.identity("experiment_id"),
        name=row.text("name"),
        artifact_location=row.text("artifact_location"),
        lifecycle_stage=row.text("lifecycle_stage"),
        tags=row.pairs("tags"),
    )


def logged_model(value: object, intake: TextIntake | None = None) -> LoggedModel:
    """Parse a row of ``logged-models/search``."""
    row = Row(value, intake)
    info, data = row.row("info"), row.row("data")
    status = info.text("status")
    return LoggedModel(
        model_id=info.identity("model_id"),
        experiment_id=info.text("experiment_id"),
        name=info.text("name"),
        source_run_id=info.text("source_run_id"),
        artifact_uri=info.text("artifact_uri"),
        status=status.removeprefix(_LOGGED_MODEL_STATUS_PREFIX) if status else None,
        model_type=info.text("model_type"),
        created_at=info.time("creation_timestamp_ms"),
        last_updated_at=info.time("last_updated_timestamp_ms"),
        params=data.pairs("params"),
        metrics=data.metrics(),
        datasets=_measured_datasets(data),
        tags=info.pairs("tags"),
        problems=row.problems.sentences(),
    )


def _measured_datasets(data: Row) -> tuple[DatasetInput, ...]:
    """Return the data sets that the metrics of a logged model name, sorted by name and digest."""
    metrics = data.fields.get("metrics")
    named = {
        (name, digest if isinstance(digest, str) and digest else None)
        for item in (metrics if isinstance(metrics, list) else ())
        if isinstance(item, dict) and isinstance(name := item.get("dataset_name"), str) and name
        for digest in (item.get("dataset_digest"),)
    }
    # These texts count against the limits, as all other texts do.
    pairs = data.bounded_texts("metrics' data sets", sorted(named, key=lambda pair: (pair[0], pair[1] or "")))
    return tuple(DatasetInput(name, digest, None, None, None) for name, digest in pairs)


def evaluation_dataset(value: object, intake: TextIntake | None = None) -> EvaluationDataset:
    """Parse a row of ``datasets/search``, without people and tags. From the profile, use only the number of records."""
    row = Row(value, intake)
    return EvaluationDataset(
        row.identity("dataset_id"),
        row.text("name"),
        row.text("digest"),
        _record_count(row.fields.get("profile")),
        row.time("last_update_time"),
    )


def _record_count(profile: object) -> int | None:
    """Return how many records a data set has; None if unknown. MLflow writes no profile before the first record.

    When the last record is deleted, the profile becomes a JSON null.
    """
    if profile is None:
        return 0
    try:
        fields = json.loads(profile) if isinstance(profile, str) and len(profile) <= _MAX_PROFILE else {}
    except (ValueError, RecursionError):
        return None
    count = fields.get("num_records") if isinstance(fields, dict) else 0 if fields is None else None
    return count if type(count) is int and 0 <= count <= MAX_INTEGER else None


def counted(response: Mapping[str, object]) -> int:
    """Return the count in a response of ``traces/metrics``; MLflow sends no point if there is nothing to count."""
    points = Row(dict(response)).rows("data_points")
    counts = [point.row("values").fields.get("COUNT") for point in points]
    return sum(int(count) for count in counts if isinstance(count, int | float) and 0 <= count < MAX_INTEGER)


def remote_file(value: object, intake: TextIntake | None = None) -> RemoteFile:
    """Parse an entry of an artifact listing."""
    row = Row(value, intake)
    is_directory = row.fields.get("is_dir") is True
    # MLflow omits file_size for directories and for empty files.
    size = None if is_directory else row.integer("file_size") if "file_size" in row.fields else 0
    return RemoteFile(path=row.identity("path"), is_directory=is_directory, size=size)


def parse_rows(rows: object, parse: Callable[[object], T], name: str) -> tuple[list[T], Problems]:
    """Parse every row of a list; return the objects, and a problem for each unusable row."""
    problems = Problems()
    if rows is None:
        return [], problems
    if not isinstance(rows, Iterable) or isinstance(rows, str | Mapping):
        problems.add(f"{name} is {type(rows).__name__}, not a list", _MALFORMED)
        return [], problems
    objects: list[T] = []
    for row in rows:
        try:
            objects.append(parse(row))
        except InvalidResponseError as error:
            problems.add(f"{name}: {error}", _MALFORMED)
    return objects, problems
