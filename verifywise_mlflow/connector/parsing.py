"""Parses MLflow's JSON into the values of ``models.py``.

A row with an identity is accepted even if other fields are unusable: those are omitted and listed in ``problems``. The
parser of a row without an identity raises ``InvalidResponseError``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.common.untrusted_text import describe
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
from verifywise_mlflow.connector.text_intake import ObjectTexts, TextIntake
from verifywise_mlflow.http.errors import InvalidResponseError

T = TypeVar("T")

UNUSABLE: Final = "unusable values"
MALFORMED: Final = "malformed rows"
"""Kinds of problems: a field that is left out, and a row that is."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_VERSION_NUMBER = 2**31 - 1  # MLflow's own column, and ours
_MAX_INTEGER = 2**63 - 1
_MAX_PROFILE = 10_000  # characters; MLflow's has about 20
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
    """One JSON object of a response, read field by field; unusable fields are added to ``problems``.

    The rows within an object share its problems and the limits of its texts.
    """

    __slots__ = ("_label", "_texts", "fields")

    def __init__(self, value: object, intake: TextIntake | None = None) -> None:
        self.fields = _fields(value)
        self._texts = ObjectTexts(intake or TextIntake())
        self._label = ""

    @property
    def problems(self) -> Problems:
        """The problems of the object so far."""
        return self._texts.problems

    def text(self, name: str) -> str | None:
        """Return a string; None if it is missing, empty or too long."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return self._texts.text(f"{self._label}{name}", value)
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

    def rows(self, name: str, label: str = "") -> list[Row]:
        """Return a list of objects; any other item is a problem. ``label`` begins the problems within them."""
        return [self._within(item, label) for item in self._texts.first(name, self._items(name))]

    def row(self, name: str, label: str = "") -> Row:
        """Return an object; an empty one if it is missing. ``label`` begins the problems within it."""
        value = self.fields.get(name)
        if isinstance(value, dict):
            return self._within(value, label)
        if value is not None:
            self._unusable(name, value)
        return self._within({}, label)

    def pairs(self, name: str) -> dict[str, str]:
        """Return one of MLflow's key/value lists as a dictionary; an empty value counts."""
        items = self._items(name)
        fast_pairs = _well_formed_pairs(items, "")
        if fast_pairs is not None and _TEXTS.issuperset(map(type, fast_pairs.values())):
            return self._texts.texts(name, fast_pairs)  # type: ignore[arg-type]  # just checked
        pairs: dict[str, str] = {}
        for item in items:
            key, value = item.get("key"), item.get("value", "")
            if isinstance(key, str) and isinstance(value, str):
                pairs[key] = value
            else:
                self._unusable(name, key)
        return self._texts.texts(name, pairs)

    def metrics(self) -> dict[str, float]:
        """Return the metrics; MLflow writes NaN as a string."""
        items = self._items("metrics")
        fast_pairs = _well_formed_pairs(items, 0.0)
        if fast_pairs is not None and _FLOATS.issuperset(map(type, fast_pairs.values())):
            return self._texts.numbers("metrics", fast_pairs)  # type: ignore[arg-type]  # just checked
        metrics: dict[str, float] = {}
        for item in items:
            key, value = item.get("key"), item.get("value", 0.0)
            if not isinstance(key, str):
                self._unusable("a metric's name", key)
            elif isinstance(value, bool) or not isinstance(value, int | float | str):
                self._unusable(_metric_label(key), value)
            else:
                try:
                    metrics[key] = float(value)
                except (ValueError, OverflowError):  # a string that is not a number, an integer too large for a float
                    self._unusable(_metric_label(key), value)
        return self._texts.numbers("metrics", metrics)

    def bounded_texts(self, name: str, pairs: Sequence[tuple[str, str | None]]) -> Iterator[tuple[str, str | None]]:
        """Yield those of some pairs of texts that fit the limits."""
        for first, second in self._texts.first(name, pairs):
            taken = self._texts.text(name, first)
            if taken is not None:
                yield taken, None if second is None else self._texts.text(name, second)

    def _within(self, fields: dict[str, object], label: str) -> Row:
        row = object.__new__(Row)
        row.fields, row._texts, row._label = fields, self._texts, label
        return row

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
        self.problems.add(f"{self._label}{name} could not be used: {_described(value)}", UNUSABLE)


def _fields(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidResponseError(f"a row of the response is {type(value).__name__}, not an object")
    return value


def _metric_label(key: str) -> str:
    return f"metric {key if len(key) <= 100 else describe(key)}"


def _described(value: object) -> str:
    if isinstance(value, str):
        return describe(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else "a number beyond any use"
    return str(value) if isinstance(value, float | None) else type(value).__name__


def _parse_integer(value: object) -> int | None:
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    # int() would also accept '1_0', ' 1' and digits of other scripts.
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    return None


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
    # Through the limits for texts, as every other text.
    pairs = data.bounded_texts("metrics' data sets", sorted(named, key=lambda pair: (pair[0], pair[1] or "")))
    return tuple(DatasetInput(name, digest, None, None, None) for name, digest in pairs)


def evaluation_dataset(value: object, intake: TextIntake | None = None) -> EvaluationDataset:
    """Parse a row of ``datasets/search``, without its people and its tags, and of its profile only how many records."""
    row = Row(value, intake)
    return EvaluationDataset(
        row.identity("dataset_id"),
        row.text("name"),
        row.text("digest"),
        _record_count(row.fields.get("profile")),
        row.time("last_update_time"),
    )


def _record_count(profile: object) -> int | None:
    """Return how many records a data set has; None if that is unknown. MLflow writes no profile before the first one.

    When the last record is deleted, the profile becomes a JSON null.
    """
    if profile is None:
        return 0
    try:
        fields = json.loads(profile) if isinstance(profile, str) and len(profile) <= _MAX_PROFILE else {}
    except (ValueError, RecursionError):
        return None
    count = fields.get("num_records") if isinstance(fields, dict) else 0 if fields is None else None
    return count if type(count) is int and 0 <= count <= _MAX_INTEGER else None


def counted(response: Mapping[str, object]) -> int:
    """Return the count in a response of ``traces/metrics``; MLflow sends no point if there is nothing to count."""
    points = Row(dict(response)).rows("data_points")
    counts = [point.row("values").fields.get("COUNT") for point in points]
    return sum(int(count) for count in counts if isinstance(count, int | float) and 0 <= count < _MAX_INTEGER)


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
        problems.add(f"{name} is {type(rows).__name__}, not a list", MALFORMED)
        return [], problems
    objects: list[T] = []
    for row in rows:
        try:
            objects.append(parse(row))
        except InvalidResponseError as error:
            problems.add(f"{name}: {error}", MALFORMED)
    return objects, problems
