"""MLflow's objects as immutable values, under MLflow's own names.

Every time is UTC with MLflow's millisecond precision. ``None`` means that MLflow has no value. Parsing converts an
empty string, a missing key and the stage ``"None"`` to ``None``. ``problems`` lists the parts of a response that were
unusable; the rest of the object is used. ``redactions`` lists the redactions by the tenant's settings; the connector
itself redacts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from verifywise_mlflow.common.value_object import value_object


@value_object
class Redaction:
    """A note that a text was removed from an object before it was stored, without the text and without a hash."""

    place: str
    """``tag``, ``param``, ``metric``, ``data set``, or the name of the object's field."""
    key: str | None
    """The key of the tag, param or metric; None for a field, and for an item that is not stored at all."""
    what: Literal["secret", "personal data", "not kept"]
    kind: str
    """The kind of secret or personal data: ``password``, ``github pat``, ``email``; ``denied`` for a denied key."""
    count: int = 1
    """How often this kind occurred in this place."""


@value_object
class RegisteredModel:
    """A named model in the registry, with numbered versions."""

    name: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    """Alias to version number. A dangling alias, which MLflow up to 3.1 does not delete, is included."""
    created_at: datetime | None = None
    last_updated_at: datetime | None = None
    hidden_from_search: bool = False
    """True for a model that is hidden by the prompt tag; see ``hidden_models.py``."""
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@value_object
class ModelVersion:
    """One numbered version of a registered model."""

    model_name: str
    version_number: int
    created_at: datetime | None = None
    last_updated_at: datetime | None = None
    """MLflow does not update this time for tags and aliases."""
    stage: str | None = None
    """``Staging``, ``Production`` or ``Archived``."""
    description: str | None = None
    source: str | None = None
    """The URI that the version was registered with, in any form that a client sent."""
    run_id: str | None = None
    status: str | None = None
    """``READY``, ``PENDING_REGISTRATION``, ``FAILED_REGISTRATION``, or a status newer than this code."""
    status_message: str | None = None
    run_link: str | None = None
    deployment_job_state: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    hidden_from_search: bool = False
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@value_object
class Prompt:
    """A named prompt in the registry, with numbered versions. MLflow stores prompts in the tables of the models."""

    name: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    created_at: datetime | None = None
    last_updated_at: datetime | None = None
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@value_object
class PromptVersion:
    """One numbered version of a prompt, without its text: see ``prompts.py``."""

    prompt_name: str
    version_number: int
    created_at: datetime | None = None
    last_updated_at: datetime | None = None
    commit_message: str | None = None
    prompt_type: str | None = None
    """``text`` or ``chat``; null before MLflow 3."""
    template_sha256: str | None = None
    """SHA-256, in hex, of the template's UTF-8 bytes as MLflow stores them: for a chat, JSON. Null if there is none."""
    template_length: int | None = None
    """Characters."""
    variables: tuple[str, ...] = ()
    """The names in double braces, sorted."""
    has_response_format: bool = False
    model_config: Mapping[str, str] = field(default_factory=dict)
    """The model that the prompt's version is meant for, with its parameters. See ``prompts.model_config``."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The tags, without the tags from which the other fields are taken."""
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@value_object
class DatasetInput:
    """A data set that a run logged as its input. The data itself is never fetched."""

    name: str | None
    digest: str | None
    source_type: str | None
    source: str | None
    """JSON or a plain string, as the client sent it."""
    context: str | None
    """``training``, ``evaluation``, …: the tag ``mlflow.data.context`` of the input."""


@value_object
class TrainingRun:
    """The run that produced a version."""

    run_id: str
    experiment_id: str | None = None
    run_name: str | None = None
    user_id: str | None = None
    status: str | None = None
    """``RUNNING``, ``SCHEDULED``, ``FINISHED``, ``FAILED``, ``KILLED``."""
    lifecycle_stage: str | None = None
    """``active`` or ``deleted``."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    artifact_uri: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The value at the highest step of each metric. NaN counts as a value; MLflow stores an infinity as ±1.797e308."""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetInput, ...] = ()
    logged_model_ids: tuple[str, ...] = ()
    """The logged models that this run produced (MLflow 3)."""
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@value_object
class Experiment:
    """A group of runs."""

    experiment_id: str
    name: str | None = None
    artifact_location: str | None = None
    lifecycle_stage: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@value_object
class LoggedModel:
    """MLflow 3's object for a model's files, separate from the run (``models:/m-…``)."""

    model_id: str
    experiment_id: str | None = None
    name: str | None = None
    source_run_id: str | None = None
    artifact_uri: str | None = None
    status: str | None = None
    model_type: str | None = None
    created_at: datetime | None = None
    last_updated_at: datetime | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    datasets: tuple[DatasetInput, ...] = ()
    """The data sets on which the model's metrics were measured. Each data set is listed once."""
    tags: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@value_object
class EvaluationDataset:
    """A data set of MLflow 3 for the evaluation of generative applications, without its records."""

    dataset_id: str
    name: str | None = None
    digest: str | None = None
    record_count: int | None = None
    last_updated_at: datetime | None = None


AssessmentSource = Literal["HUMAN", "LLM_JUDGE", "CODE", "OTHER"]
"""The kind of assessor, as the client stated it."""


@value_object
class AssessmentCounts:
    """The numbers of assessments with one name from one kind of source. Their texts and authors are not kept."""

    name: str
    source: AssessmentSource
    count: int
    traces: int
    sources: int
    """The number of distinct assessors: people, models or functions."""
    passed: int
    """The number of values true and yes."""
    failed: int
    """The number of values false and no."""
    numbers: int
    least: float | None
    mean: float | None
    most: float | None
    others: int
    """The number of other values: texts, lists and objects."""
    errors: int
    """The number of assessments without a value, because the scorer failed."""
    first_at: datetime | None
    newest_at: datetime | None


@value_object
class ModelAssessments:
    """The numbers of assessments of a logged model's traces. No trace is kept."""

    model_id: str
    traces: int
    """The number of traces with an assessment."""
    counts: tuple[AssessmentCounts, ...]
    """The counts, with the most frequent name and source first."""
    names_left_out: int
    """How many other pairs of name and source were counted but are not listed."""
    expectations: int
    """The number of expected answers, which are not assessments."""
    digest: str
    """SHA-256, in hex, of the counted assessments: their traces, IDs, names, kinds of source and values."""


@value_object
class TraceAssessments:
    """The assessments that a search for the traces of logged models found."""

    models: tuple[ModelAssessments, ...]
    is_complete: bool
    """False if there were more traces than were read, so that the counts are lower bounds."""


@dataclass(frozen=True, slots=True)
class TraceCounts:
    """The numbers of traces in some experiments and of their assessments, without any trace."""

    traces: int
    assessments: int


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One entry of an artifact listing. ``path`` is relative to the root that was listed."""

    path: str
    is_directory: bool
    size: int | None
    """Bytes. MLflow omits the size of directories and empty files; parsing sets 0 for empty files."""
    store_state: str | None = None
    """A digest of the object's state in its store, such as its ETag; None for files that MLflow lists."""
