"""Parses MLflow's JSON into the values of ``models.py``.

A row with an identity is accepted even if other fields are unusable: those are omitted and listed in ``problems``. The
parser of a row without an identity raises ``InvalidResponseError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from verifywise_mlflow.connector.models import (
    DatasetInput,
    Experiment,
    LoggedModel,
    ModelVersion,
    RegisteredModel,
    RemoteFile,
    TrainingRun,
)
from verifywise_mlflow.http.errors import InvalidResponseError

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_VERSION_NUMBER = 2**31 - 1  # MLflow's own column, and ours
_MAX_INTEGER = 2**63 - 1
_LOGGED_MODEL_STATUS_PREFIX = "LOGGED_MODEL_"

# A run has dozens of pairs, and checking each in Python would be most of the cost of reading it. So the usual case,
# in which all pairs are well-formed, is checked in C; only the others are read pair by pair.
_OBJECTS = frozenset((dict,))
_TEXTS = frozenset((str,))
_FLOATS = frozenset((float,))


def _well_formed_pairs(items: list[dict[str, object]], default: object) -> dict[str, object] | None:
    """Return ``key``/``value`` objects as one dictionary; None if a key is missing or not a string."""
    try:
        pairs = {item["key"]: item.get("value", default) for item in items}
    except (KeyError, TypeError):
        return None
    return pairs if _TEXTS.issuperset(map(type, pairs)) else None  # type: ignore[return-value]  # checked on this line


class Row:
    """One JSON object of a response, read field by field; unusable fields are added to ``problems``."""

    __slots__ = ("fields", "problems")

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise InvalidResponseError(f"a row of the response is {type(value).__name__}, not an object")
        self.fields: dict[str, object] = value
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        """Return a string; None if it is missing or empty."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        self._unusable(name, value)
        return None

    def identity(self, name: str) -> str:
        """Return a required string."""
        value = self.text(name)
        if value is None:
            raise InvalidResponseError(f"a row of the response has no {name}")
        return value

    def integer(self, name: str, *, minimum: int = 0, maximum: int = _MAX_INTEGER) -> int:
        """Return a required integer; MLflow writes some of them as strings."""
        number = _parse_integer(self.fields.get(name))
        if number is not None and minimum <= number <= maximum:
            return number
        raise InvalidResponseError(f"a row of the response has no usable {name}")

    def time(self, name: str) -> datetime | None:
        """Return a time in UTC from milliseconds since 1970; None if it is missing."""
        value = self.fields.get(name)
        if value is None:
            return None
        milliseconds = _parse_integer(value)
        if milliseconds is not None:
            try:
                return _EPOCH + timedelta(milliseconds=milliseconds)
            except OverflowError:
                pass  # beyond the year 9999
        self._unusable(name, value)
        return None

    def rows(self, name: str) -> list[Row]:
        """Return a list of objects; any other item is a problem."""
        return [Row(item) for item in self._items(name)]

    def row(self, name: str) -> Row:
        """Return an object; an empty one if it is missing."""
        value = self.fields.get(name)
        if isinstance(value, dict):
            return Row(value)
        if value is not None:
            self._unusable(name, value)
        return Row({})

    def pairs(self, name: str) -> dict[str, str]:
        """Return one of MLflow's key/value lists as a dictionary; an empty value counts."""
        items = self._items(name)
        fast_pairs = _well_formed_pairs(items, "")
        if fast_pairs is not None and _TEXTS.issuperset(map(type, fast_pairs.values())):
            return fast_pairs  # type: ignore[return-value]  # just checked
        pairs: dict[str, str] = {}
        for item in items:
            key, value = item.get("key"), item.get("value", "")
            if isinstance(key, str) and isinstance(value, str):
                pairs[key] = value
            else:
                self._unusable(name, key)
        return pairs

    def metrics(self) -> dict[str, float]:
        """Return the metrics; MLflow writes NaN as a string."""
        items = self._items("metrics")
        fast_pairs = _well_formed_pairs(items, 0.0)
        if fast_pairs is not None and _FLOATS.issuperset(map(type, fast_pairs.values())):
            return fast_pairs  # type: ignore[return-value]  # just checked
        metrics: dict[str, float] = {}
        for item in items:
            key, value = item.get("key"), item.get("value", 0.0)
            if not isinstance(key, str):
                self._unusable("a metric's name", key)
            elif isinstance(value, bool) or not isinstance(value, int | float | str):
                self._unusable(f"metric {key:.100}", value)
            else:
                try:
                    metrics[key] = float(value)
                except (ValueError, OverflowError):  # a string that is not a number, an integer too large for a float
                    self._unusable(f"metric {key:.100}", value)
        return metrics

    def _items(self, name: str) -> list[dict[str, object]]:
        """Return a list of JSON objects; any other item is a problem."""
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self._unusable(name, value)
            return []
        if _OBJECTS.issuperset(map(type, value)):
            return value
        for item in value:
            if not isinstance(item, dict):
                self._unusable(name, item)
        return [item for item in value if isinstance(item, dict)]

    def _unusable(self, name: str, value: object) -> None:
        # Only the type of a list or an object: it may be nested too deep to print.
        excerpt = ascii(value)[:80] if isinstance(value, str | int | float | None) else type(value).__name__
        self.problems.append(f"{name} could not be used: {excerpt}")


def _parse_integer(value: object) -> int | None:
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    # int() would also accept '1_0', ' 1' and digits of other scripts.
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    return None


def _version_number(row: Row) -> int:
    return row.integer("version", minimum=1, maximum=_MAX_VERSION_NUMBER)


def registered_model(value: object) -> RegisteredModel:
    """Parse a row of ``registered-models/search``."""
    row = Row(value)
    aliases: dict[str, int] = {}
    for item in row.rows("aliases"):
        try:
            aliases[item.identity("alias")] = _version_number(item)
        except InvalidResponseError as error:
            row.problems.append(f"an alias could not be used: {error}")
    return RegisteredModel(
        name=row.identity("name"),
        description=row.text("description"),
        tags=row.pairs("tags"),
        aliases=aliases,
        created_at=row.time("creation_timestamp"),
        last_updated_at=row.time("last_updated_timestamp"),
        problems=tuple(row.problems),
    )


def model_version(value: object) -> ModelVersion:
    """Parse a row of ``model-versions/search``."""
    row = Row(value)
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
        problems=tuple(row.problems),
    )


def _deployment_job_state(row: Row) -> str | None:
    job = row.row("deployment_job_state")
    state = job.text("run_state")
    row.problems += job.problems
    return None if state == "DEPLOYMENT_JOB_RUN_STATE_UNSPECIFIED" else state


def training_run(value: object) -> TrainingRun:
    """Parse a row of ``runs/search`` or the ``run`` of ``runs/get``."""
    row = Row(value)
    info, data, inputs, outputs = (row.row(part) for part in ("info", "data", "inputs", "outputs"))
    datasets = tuple(_dataset_input(item, inputs.problems) for item in inputs.rows("dataset_inputs"))
    model_outputs = outputs.rows("model_outputs")
    logged_model_ids = tuple(filter(None, (item.text("model_id") for item in model_outputs)))
    outputs.problems += [problem for item in model_outputs for problem in item.problems]
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
        problems=(*row.problems, *info.problems, *data.problems, *inputs.problems, *outputs.problems),
    )


def _dataset_input(item: Row, problems: list[str]) -> DatasetInput:
    dataset = item.row("dataset")
    dataset_input = DatasetInput(
        name=dataset.text("name"),
        digest=dataset.text("digest"),
        source_type=dataset.text("source_type"),
        source=dataset.text("source"),
        context=item.pairs("tags").get("mlflow.data.context"),
    )
    problems += [f"a dataset's {problem}" for problem in (*item.problems, *dataset.problems)]
    return dataset_input


def experiment(value: object) -> Experiment:
    """Parse a row of ``experiments/search``."""
    row = Row(value)
    return Experiment(
        experiment_id=row.identity("experiment_id"),
        name=row.text("name"),
        artifact_location=row.text("artifact_location"),
        lifecycle_stage=row.text("lifecycle_stage"),
        tags=row.pairs("tags"),
    )


def logged_model(value: object) -> LoggedModel:
    """Parse a row of ``logged-models/search``."""
    row = Row(value)
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
        tags=info.pairs("tags"),
        problems=(*row.problems, *info.problems, *data.problems),
    )


def remote_file(value: object) -> RemoteFile:
    """Parse an entry of an artifact listing."""
    row = Row(value)
    is_directory = row.fields.get("is_dir") is True
    # MLflow omits file_size for directories and for empty files.
    size = None if is_directory else row.integer("file_size") if "file_size" in row.fields else 0
    return RemoteFile(path=row.identity("path"), is_directory=is_directory, size=size)


def parse_rows(rows: object, parse: Callable[[object], T], name: str) -> tuple[list[T], list[str]]:
    """Parse every row of a list; return the objects, and a problem for each unusable row."""
    if rows is None:
        return [], []
    if not isinstance(rows, Iterable) or isinstance(rows, str | Mapping):
        return [], [f"{name} is {type(rows).__name__}, not a list"]
    objects: list[T] = []
    problems: list[str] = []
    for row in rows:
        try:
            objects.append(parse(row))
        except InvalidResponseError as error:
            problems.append(f"{name}: {error}")
    return objects, problems
