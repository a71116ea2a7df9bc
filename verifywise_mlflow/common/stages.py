"""The six stages of a sync."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """The stages in the order in which data passes through them. The values name the Dagster assets and the tables."""

    REGISTERED_MODELS = "registered_models"
    MODEL_VERSIONS = "model_versions"
    TRAINING_RUNS = "training_runs"
    ARTIFACT_MANIFESTS = "artifact_manifests"
    CANONICAL_RECORDS = "canonical_records"
    COMPLIANCE_RESULTS = "compliance_results"
