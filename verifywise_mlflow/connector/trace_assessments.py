"""Counts the assessments of traces, by logged model. A trace's contents never leave this module.

MLflow has no request for assessments alone. ``traces/metrics`` counts assessments without their source, and only for
one logged model per request. ``traces/search`` returns assessments with excerpts of inputs and outputs, with rationales
and with names of people. This module counts only what governance needs: the assessments with each name and kind of
source, how many of them passed, and the ranges of their numbers and times.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, cast

from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.connector.models import AssessmentCounts, AssessmentSource, ModelAssessments
from verifywise_mlflow.connector.response_row import Row
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.errors import InvalidResponseError

MAX_NAMES: Final = 50
"""The maximum number of pairs of name and source that are listed for one logged model."""
MAX_NAME_LENGTH: Final = 250
"""The maximum number of characters of a name, as in MLflow's own column."""

_MODEL: Final = "mlflow.modelId"
_SOURCES: Final[Mapping[str, AssessmentSource]] = {
    "HUMAN": "HUMAN",
    "LLM_JUDGE": "LLM_JUDGE",
    "AI_JUDGE": "LLM_JUDGE",  # its name before MLflow 3
    "CODE": "CODE",
}
_WORDS: Final = {"yes": True, "no": False}
"""The words that MLflow counts as passed (True) and failed (False)."""

CountedValue: TypeAlias = bool | float | Literal["other", "error"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """The parts of a trace's assessment that are counted."""

    assessment_id: str
    name: str
    source: AssessmentSource
    source_hash: bytes
    """Used only to count distinct sources; it is never stored."""
    value: CountedValue | None
    """None for an expectation."""
    at: datetime | None


@dataclass(frozen=True, slots=True)
class AssessedTrace:
    """A trace of a logged model, with its assessments."""

    trace_id: str
    model_id: str | None
    assessments: tuple[Assessment, ...]


def assessed_trace(value: object, intake: TextIntake | None = None) -> AssessedTrace:
    """Parse a row of ``traces/search``. Names and IDs are the only texts that are kept."""
    row = Row(value, intake)
    model_id = row.row("trace_metadata").fields.get(_MODEL)
    assessments = tuple(_assessments(row))
    # A model's ID has 34 characters. A longer text is no ID, and the database would refuse it as a key.
    is_usable = isinstance(model_id, str) and len(model_id) <= MAX_NAME_LENGTH
    return AssessedTrace(row.identity("trace_id"), cast("str", model_id) if is_usable else None, assessments)


def _assessments(trace: Row) -> Iterator[Assessment]:
    for row in trace.rows("assessments"):
        if row.fields.get("valid") is False:
            continue  # a newer assessment has replaced this assessment
        kind = "feedback" if "feedback" in row.fields else "expectation" if "expectation" in row.fields else None
        if kind is None:
            continue  # a reference to an issue does not assess quality
        try:
            identity, name = row.identity("assessment_id"), row.identity("assessment_name")
        except InvalidResponseError:
            continue
        source = row.row("source").fields
        author = source.get("source_id")
        yield Assessment(
            identity,
            name[:MAX_NAME_LENGTH],
            _SOURCES.get(str(source.get("source_type")), "OTHER"),
            hashlib.sha256(author.encode("utf-8", "surrogatepass") if isinstance(author, str) else b"").digest(),
            _counted_value(row.row("feedback").fields) if kind == "feedback" else None,
            _time(row.fields.get("last_update_time")),
        )


def _counted_value(feedback: Mapping[str, object]) -> CountedValue:
    value = feedback.get("value")
    if feedback.get("error") is not None or value is None:
        return "error"
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return "other"
        return number if math.isfinite(number) else "other"
    return _WORDS.get(value.strip().lower(), "other") if isinstance(value, str) and len(value) < 100 else "other"


def _time(value: object) -> datetime | None:
    """Return a time from the JSON of protocol buffers, such as ``2026-11-30T01:05:07.873Z``."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


@dataclass(slots=True)
class _Counted:
    """The assessments with one name from one kind of source, while they are counted."""

    traces: set[str] = field(default_factory=set)
    sources: set[bytes] = field(default_factory=set)
    values: list[CountedValue] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def counts(self, name: str, source: AssessmentSource) -> AssessmentCounts:
        numbers = [value for value in self.values if isinstance(value, float)]
        return AssessmentCounts(
            name=name,
            source=source,
            count=len(self.values),
            traces=len(self.traces),
            sources=len(self.sources),
            passed=sum(value is True for value in self.values),
            failed=sum(value is False for value in self.values),
            numbers=len(numbers),
            least=min(numbers, default=None),
            mean=_mean(numbers),
            most=max(numbers, default=None),
            others=self.values.count("other"),
            errors=self.values.count("error"),
            first_at=min(self.times, default=None),
            newest_at=max(self.times, default=None),
        )


def _mean(numbers: list[float]) -> float | None:
    if not numbers:
        return None
    mean = sum(number / len(numbers) for number in numbers)  # the sum of two large numbers may be infinite
    return min(max(mean, min(numbers)), max(numbers))


def count_assessments(traces: Iterable[AssessedTrace]) -> tuple[ModelAssessments, ...]:
    """Count the assessments of some traces for each logged model; sort the results by its ID. A trace counts once."""
    by_model: dict[str, dict[str, AssessedTrace]] = {}
    for trace in traces:
        if trace.model_id is not None and trace.assessments:
            by_model.setdefault(trace.model_id, {})[trace.trace_id] = trace
    return tuple(_counted(model_id, by_model[model_id]) for model_id in sorted(by_model))


def _counted(model_id: str, traces: Mapping[str, AssessedTrace]) -> ModelAssessments:
    counted: dict[tuple[str, AssessmentSource], _Counted] = {}
    expectations = 0
    listed: list[list[object]] = []
    for trace in traces.values():
        for assessment in trace.assessments:
            if assessment.value is None:
                expectations += 1
                continue
            of_name = counted.setdefault((assessment.name, assessment.source), _Counted())
            of_name.traces.add(trace.trace_id)
            of_name.sources.add(assessment.source_hash)
            of_name.values.append(assessment.value)
            if assessment.at:
                of_name.times.append(assessment.at)
            listed.append(
                [trace.trace_id, assessment.assessment_id, assessment.name, assessment.source, assessment.value]
            )
    counts = [of_name.counts(name, source) for (name, source), of_name in counted.items()]
    counts.sort(key=lambda entry: (-entry.count, entry.name, entry.source))
    return ModelAssessments(
        model_id=model_id,
        traces=sum(any(item.value is not None for item in trace.assessments) for trace in traces.values()),
        counts=tuple(counts[:MAX_NAMES]),
        names_left_out=max(0, len(counts) - MAX_NAMES),
        expectations=expectations,
        digest=sha256_of(canonical_json(sorted(listed, key=lambda entry: (str(entry[0]), str(entry[1]))))),
    )
