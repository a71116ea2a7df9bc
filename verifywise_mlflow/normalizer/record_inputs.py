"""All that is known about one model version before it becomes a record."""

from __future__ import annotations

from dataclasses import dataclass

from verifywise_mlflow.artifacts.integrity import SeenChange
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, RegisteredModel, TrainingRun


@dataclass(frozen=True, slots=True)
class RecordInputs:
    """One model version with what belongs to it, as far as it could be read."""

    version: ModelVersion
    model: RegisteredModel | None = None
    run: TrainingRun | None = None
    run_problem: str | None = None
    """Why the run that the version names could not be read."""
    experiment_name: str | None = None
    logged_model: LoggedModel | None = None
    logged_model_problem: str | None = None
    """Why the logged model that the version's source names could not be read."""
    incarnation: int = 1
    """From 2 on, others have borne the version's name and number before."""
    dangling_aliases: tuple[str, ...] = ()
    """Aliases of the model that point to a version that there is not, sorted."""
    manifest: ArtifactManifest | None = None
    """None where manifests are switched off for the tenant, and where none could be had yet."""
    manifest_problem: str | None = None
    """Why there is none."""
    changes_in_place: tuple[SeenChange, ...] = ()
    """Bytes that changed under the version, the oldest first."""
