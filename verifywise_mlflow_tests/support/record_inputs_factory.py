"""Builders for the inputs of normalization tests."""

from __future__ import annotations

from collections.abc import Mapping

from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    ManifestStatus,
    Requirement,
    RuntimeEnvironment,
)
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, RegisteredModel, TrainingRun
from verifywise_mlflow.normalizer.mapping.tag_mapping import default_mapping
from verifywise_mlflow.normalizer.normalize import RecordInputs, normalize
from verifywise_mlflow.normalizer.normalized_record import NormalizedRecord
from verifywise_mlflow.normalizer.prompt_links import PromptIndex


def inputs(
    *,
    version_tags: Mapping[str, str] | None = None,
    model_tags: Mapping[str, str] | None = None,
    run_tags: Mapping[str, str] | None = None,
    logged_model_tags: Mapping[str, str] | None = None,
    aliases: tuple[str, ...] = (),
    stage: str | None = None,
) -> RecordInputs:
    return RecordInputs(
        version=ModelVersion("fraud", 3, stage=stage, tags=version_tags or {}),
        model=RegisteredModel("fraud", tags=model_tags or {}, aliases=dict.fromkeys(aliases, 3)),
        run=None if run_tags is None else TrainingRun("r1", tags=run_tags),
        logged_model=None if logged_model_tags is None else LoggedModel("m-1", tags=logged_model_tags),
    )


def manifest(status: ManifestStatus = "complete", *files: ArtifactFile, reason: str | None = None) -> ArtifactManifest:
    environment = RuntimeEnvironment(
        python_version="3.11.7",
        packages=(Requirement("scikit-learn", "==1.9.1", "requirements.txt", pinned=True),),
        sources=("conda.yaml", "requirements.txt"),
        mlflow_version="3.17.2",
        flavors={"sklearn": "1.9.1"},
        serialization_format="cloudpickle",
        reproducible=True,
        missing_pins=(),
    )
    return ArtifactManifest("mlflow-artifacts:/1/r1/artifacts/model", status, reason, files, environment, "d" * 64)


def normalized(record_inputs: RecordInputs, registry_prompts: PromptIndex | None = None) -> NormalizedRecord:
    return normalize(record_inputs, default_mapping(), registry_prompts)


def sentences(result: NormalizedRecord) -> list[str]:
    """Return the sentences of the findings."""
    return [finding.sentence for finding in result.findings]
