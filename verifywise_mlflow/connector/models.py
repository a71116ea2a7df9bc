"""What MLflow keeps, as values: the words are MLflow's own, the types are ours.

Every time is UTC with the millisecond precision that MLflow has. ``None`` means that MLflow shows
nothing there; MLflow's own ways of saying so (an empty string, a missing key, the stage ``"None"``)
are folded into it while parsing. ``problems`` names what in the server's answer could not be used;
the usable rest of the object is kept. ``redactions`` names what was taken out by the tenant's settings: the connector
itself takes nothing out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Redaction:
    """That something was taken out of an object before anybody saw it; never what it was, nor a hash of it."""

    place: str
    """``tag``, ``param``, ``metric``, ``data set``, or the name of the object's field."""
    key: str | None
    """The tag's, param's or metric's; null for a field, and for what is not kept at all."""
    what: Literal["secret", "personal data", "not kept"]
    kind: str
    """Of a secret or personal data, in words: ``password``, ``github pat``, ``email``; else ``denied``."""
    count: int = 1
    """How many there were in this place."""


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A name in the registry, under which versions are numbered."""

    name: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    """Alias to version number. A dangling alias (MLflow up to 3.1 keeps those) is listed like any other."""
    created_at: datetime | None = None
    last_updated_at: datetime | None = None
    hidden_from_search: bool = False
    """True for a model that only the prompt filter shows although it is none (see ``reader``)."""
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One numbered version of a registered model."""

    model_name: str
    version_number: int
    created_at: datetime | None = None
    last_updated_at: datetime | None = None
    """MLflow does not move it for tags and aliases."""
    stage: str | None = None
    """``Staging``, ``Production`` or ``Archived``."""
    description: str | None = None
    source: str | None = None
    """The URI that the version was registered with, in whatever shape the client sent."""
    run_id: str | None = None
    status: str | None = None
    """``READY``, ``PENDING_REGISTRATION``, ``FAILED_REGISTRATION``, or a word newer than this code."""
    status_message: str | None = None
    run_link: str | None = None
    deployment_job_state: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    hidden_from_search: bool = False
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A data set that a run says it used. The data itself is never fetched."""

    name: str | None
    digest: str | None
    source_type: str | None
    source: str | None
    """JSON or a plain string, as the client sent it."""
    context: str | None
    """``training``, ``evaluation``, …: the tag ``mlflow.data.context`` of the input."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The run that a version came from."""

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
    """The value at the highest step of each metric. NaN is a value; MLflow turns an infinity into ±1.797e308."""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetInput, ...] = ()
    logged_model_ids: tuple[str, ...] = ()
    """The logged models that this run put out (MLflow 3)."""
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@dataclass(frozen=True, slots=True)
class Experiment:
    """What runs are grouped by."""

    experiment_id: str
    name: str | None = None
    artifact_location: str | None = None
    lifecycle_stage: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """MLflow 3's own object for a model's files, apart from the run (``models:/m-…``)."""

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
    tags: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    redactions: tuple[Redaction, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One entry of an artifact listing. ``path`` is relative to the root that was listed."""

    path: str
    is_directory: bool
    size: int | None
    """Bytes. MLflow leaves it out for directories and for empty files; the latter come as 0."""
