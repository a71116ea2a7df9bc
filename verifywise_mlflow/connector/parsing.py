"""From MLflow's JSON to entities.

A row that has its identity is kept, whatever else is wrong with it: each field that cannot be used is
left out and named in ``problems``. A row without identity is no object; its parser says so by raising.
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
_LARGEST_VERSION = 2**31 - 1  # MLflow's own column, and ours
_LARGEST_NUMBER = 2**63 - 1
_LOGGED_MODEL_STATUS = "LOGGED_MODEL_"


# A run has dozens of pairs, and looking at each in Python would be most of what reading it costs us. So what is as
# it should be, which nearly everything is, is seen to be so in C; only the rest is taken pair by pair.
_OBJECTS = frozenset((dict,))
_TEXTS = frozenset((str,))
_FLOATS = frozenset((float,))


def _pairs_of(items: list[dict[str, object]], default: object) -> dict[str, object] | None:
    """Return objects with ``key`` and ``value`` as one; none where a key is missing or no text."""
    try:
        pairs = {item["key"]: item.get("value", default) for item in items}
    except (KeyError, TypeError):
        return None
    return pairs if _TEXTS.issuperset(map(type, pairs)) else None  # type: ignore[return-value]  # as this line sees


class Row:
    """One JSON object of an answer, read field by field, noting what could not be used."""

    __slots__ = ("fields", "problems")

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise InvalidResponseError(f"a row of the answer is {type(value).__name__}, not an object")
        self.fields: dict[str, object] = value
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        """Return a string; null where there is none or an empty one."""
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
        """Return a string that must be there."""
        value = self.text(name)
        if value is None:
            raise InvalidResponseError(f"a row of the answer has no {name}")
        return value

    def integer(self, name: str, *, least: int = 0, largest: int = _LARGEST_NUMBER) -> int:
        """Return a whole number that must be there; MLflow writes some of them as strings."""
        number = _whole_number(self.fields.get(name))
        if number is not None and least <= number <= largest:
            return number
        raise InvalidResponseError(f"a row of the answer has no usable {name}")

    def time(self, name: str) -> datetime | None:
        """Return a time in UTC from milliseconds since 1970; null where there is none."""
        value = self.fields.get(name)
        if value is None:
            return None
        milliseconds = _whole_number(value)
        if milliseconds is not None:
            try:
                return _EPOCH + timedelta(milliseconds=milliseconds)
            except OverflowError:
                pass  # beyond the year 9999
        self._unusable(name, value)
        return None

    def rows(self, name: str) -> list[Row]:
        """Return a list of objects; an item that is none is noted."""
        return [Row(item) for item in self._items(name)]

    def row(self, name: str) -> Row:
        """Return an object; an empty one where there is none."""
        value = self.fields.get(name)
        if isinstance(value, dict):
            return Row(value)
        if value is not None:
            self._unusable(name, value)
        return Row({})

    def pairs(self, name: str) -> dict[str, str]:
        """Return MLflow's lists of key and value as a dictionary; an empty value is a value."""
        items = self._items(name)
        usual = _pairs_of(items, "")
        if usual is not None and _TEXTS.issuperset(map(type, usual.values())):
            return usual  # type: ignore[return-value]  # as has just been seen
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
        usual = _pairs_of(items, 0.0)
        if usual is not None and _FLOATS.issuperset(map(type, usual.values())):
            return usual  # type: ignore[return-value]  # as has just been seen
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
                except (ValueError, OverflowError):  # a word that is no number, an integer too large for a float
                    self._unusable(f"metric {key:.100}", value)
        return metrics

    def _items(self, name: str) -> list[dict[str, object]]:
        """Return a list of objects as JSON has them; an item that is none is noted."""
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
        # Of a list or an object only the kind: it may be nested deeper than can be written out here.
        shown = ascii(value)[:80] if isinstance(value, str | int | float | None) else type(value).__name__
        self.problems.append(f"{name} could not be used: {shown}")


def _whole_number(value: object) -> int | None:
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    # int() would take '1_0', ' 1' and other scripts' digits, too.
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    return None


def _version_number(row: Row) -> int:
    return row.integer("version", least=1, largest=_LARGEST_VERSION)


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
    found = DatasetInput(
        name=dataset.text("name"),
        digest=dataset.text("digest"),
        source_type=dataset.text("source_type"),
        source=dataset.text("source"),
        context=item.pairs("tags").get("mlflow.data.context"),
    )
    problems += [f"a dataset's {problem}" for problem in (*item.problems, *dataset.problems)]
    return found


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
        status=status.removeprefix(_LOGGED_MODEL_STATUS) if status else None,
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
    # MLflow leaves file_size out for directories and for empty files.
    size = None if is_directory else row.integer("file_size") if "file_size" in row.fields else 0
    return RemoteFile(path=row.identity("path"), is_directory=is_directory, size=size)


def parse_rows(rows: object, parse: Callable[[object], T], what: str) -> tuple[list[T], list[str]]:
    """Parse every row of a list; return the objects, and a sentence for each row that was none."""
    if rows is None:
        return [], []
    if not isinstance(rows, Iterable) or isinstance(rows, str | Mapping):
        return [], [f"{what} came as {type(rows).__name__}, not as a list"]
    objects: list[T] = []
    problems: list[str] = []
    for row in rows:
        try:
            objects.append(parse(row))
        except InvalidResponseError as error:
            problems.append(f"{what}: {error}")
    return objects, problems
