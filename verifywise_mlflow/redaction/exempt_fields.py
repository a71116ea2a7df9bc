"""The fields whose texts are not redacted, each with its reason. All other texts of customers are redacted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_IDENTITY: Final = "identifies the object: under another text it could not be found again"
_OURS: Final = "written by this product"

EXEMPT_FIELDS: Final[Mapping[str, str]] = {
    "RegisteredModel.name": _IDENTITY,
    "RegisteredModel.aliases": _IDENTITY,
    "ModelVersion.model_name": _IDENTITY,
    "ModelVersion.run_id": _IDENTITY,
    "Prompt.name": _IDENTITY,
    "Prompt.aliases": _IDENTITY,
    "PromptVersion.prompt_name": _IDENTITY,
    "EvaluationDataset.dataset_id": _IDENTITY,
    "TrainingRun.run_id": _IDENTITY,
    "TrainingRun.experiment_id": _IDENTITY,
    "TrainingRun.logged_model_ids": _IDENTITY,
    "Experiment.experiment_id": _IDENTITY,
    "LoggedModel.model_id": _IDENTITY,
    "LoggedModel.experiment_id": _IDENTITY,
    "LoggedModel.source_run_id": _IDENTITY,
    "ModelAssessments.model_id": _IDENTITY,
    "RemoteFile.path": _IDENTITY,
    "RemoteFile.store_state": _OURS,
    "ArtifactFile.path": _IDENTITY,
    "ModelSignature.path": _IDENTITY,
    "ArtifactFile.sha256": _OURS,
    "ArtifactFile.root": _OURS,
    "ArtifactFile.store_state": _OURS,
    "ArtifactManifest.digest": _OURS,
    "ArtifactManifest.status": _OURS,
    "ArtifactManifest.not_listed": _OURS,
    "ModelSignature.status": _OURS,
    "ModelSignature.signer": "a fingerprint and a certificate's subject, which its authority publishes",
    "RegisteredModel.redactions": _OURS,
    "ModelVersion.redactions": _OURS,
    "Prompt.redactions": _OURS,
    "PromptVersion.redactions": _OURS,
    "PromptVersion.template_sha256": _OURS,
    "TrainingRun.redactions": _OURS,
    "LoggedModel.redactions": _OURS,
    "AssessmentCounts.source": _OURS,
    "ModelAssessments.digest": _OURS,
}
"""``Type.field`` to the reason."""

FIELD_NAMES: Final[Mapping[str, str]] = {
    "Experiment.name": "experiment_name",
    "DatasetInput.name": "dataset_name",
    "EvaluationDataset.name": "dataset_name",
    "EvaluationDataset.digest": "dataset_digest",
    "DatasetInput.digest": "dataset_digest",
    "AssessmentCounts.name": "assessment_name",
    "DatasetInput.source_type": "dataset_source_type",
    "DatasetInput.source": "dataset_source",
    "DatasetInput.context": "dataset_context",
    "ModelVersion.stage": "current_stage",
    "Requirement.name": "environment",
    "Requirement.specifier": "environment",
    "Requirement.source": "environment",
    **dict.fromkeys(
        (
            *("RuntimeEnvironment.python_version", "RuntimeEnvironment.sources", "RuntimeEnvironment.mlflow_version"),
            *("RuntimeEnvironment.flavors", "RuntimeEnvironment.serialization_format", "RuntimeEnvironment.problems"),
            *("RuntimeEnvironment.missing_pins", "RuntimeEnvironment.signature"),
            *("RuntimeEnvironment.tasks", "RuntimeEnvironment.prompts"),
        ),
        "environment",
    ),
}
"""``Type.field`` to its name in settings and redactions, if this name differs from the field's own name."""
