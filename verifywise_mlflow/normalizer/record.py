"""The canonical record: what governance asks about one version of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal, TypeAlias

from verifywise_mlflow.normalizer.findings import Finding

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"


@dataclass(frozen=True, slots=True)
class CanonicalRecord:
    """One record per (model name, version number).

    A field is null where MLflow shows nothing for it: that is a gap, not an error. Times are UTC.
    The names are also the columns of ``verifywise.canonical_records``.
    """

    # Identity
    model_name: str
    description: str | None
    business_purpose: str | None
    owner: str | None
    # Version and lifecycle
    version_number: int
    lifecycle_stage: str | None
    """``development``, ``staging``, ``production`` or ``archived``."""
    created_at: datetime | None
    last_updated_at: datetime | None
    deployment_status: str | None
    source_run_id: str | None
    source_artifact_uri: str | None
    # Training and evaluation
    training_status: str | None
    training_started_at: datetime | None
    training_ended_at: datetime | None
    metrics: Mapping[str, float] | None
    """Null without a readable run; empty where the run has none."""
    hyperparameters: Mapping[str, str] | None
    evaluation_tags: Mapping[str, str] | None
    # Lineage
    experiment_id: str | None
    experiment_name: str | None
    code_commit: str | None
    training_entrypoint: str | None
    dataset_reference: Json
    """A list of ``{name, digest, source_type, source, context}``, or null."""
    artifact_uri: str | None
    # Risk and compliance
    risk_category: str | None
    regulatory_scope: str | None
    data_sensitivity: str | None
    privacy_assessment_status: str | None
    compliance_approver: str | None
    security_assessment_version: str | None
    # Artifacts and environment
    runtime_environment: Json
    artifact_manifest: Json
    evidence_files: Json


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(CanonicalRecord))
"""The record's fields in their canonical order."""

SourceKind = Literal[
    "version",
    "version tag",
    "model",
    "model tag",
    "alias",
    "run",
    "run tag",
    "experiment",
    "logged model",
    "artifact",
    "config",
]
"""``config`` is what the tenant's description states: MLflow does not show it."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a field's value came from, so that an auditor can look it up."""

    source: SourceKind
    key: str
    """The tag, alias or attribute, as the customer wrote it; of an artifact its path; of ``config`` the setting."""
    raw: str | None
    """What stood there before it was brought to its normal form; null for what is no text and was taken as it is."""
    dated: str | None = None
    """The date that the text carries: ``2026-03-01``, ``2026-03``, ``2026-Q1`` or ``2026``."""
    rule: str | None = None
    """Why this one was taken, where more than one place had something to say."""


@dataclass(frozen=True, slots=True)
class NormalizedRecord:
    """A canonical record with what an auditor asks next: from where, and what is missing."""

    record: CanonicalRecord
    origins: Mapping[str, Origin]
    """Field to origin, for every field that is not null; where one was put together from several tags, the members'
    origins stand beside it, under ``evaluation_tags.KEY``."""
    incomplete: tuple[str, ...]
    """What could not be read, as sentences; empty for a record that holds all that MLflow shows."""
    findings: tuple[Finding, ...]
    """What was read but looks wrong: a value that is no known form of its field, a dangling alias, a deleted run."""
