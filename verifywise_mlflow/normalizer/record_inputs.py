"""The inputs of a record: one model version and the objects that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from verifywise_mlflow.artifacts.integrity import DetectedChange
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.artifacts.version_origin import VersionOrigin
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, RegisteredModel, TrainingRun

LoggedModelLink: TypeAlias = Literal["id", "location", "ambiguous"]
"""How the source of the version names the logged model. ``id``: as ``models:/m-…``. ``location``: by exactly the
artifact location of the logged model. ``ambiguous``: several logged models have the location, so the version is linked
to none of them."""


@value_object
class RecordInputs:
    """One model version and the objects that belong to it, as far as they could be read."""

    version: ModelVersion
    model: RegisteredModel | None = None
    run: TrainingRun | None = None
    run_read_error: str | None = None
    """Why the run that the version names could not be read."""
    experiment_name: str | None = None
    origin: VersionOrigin | None = None
    """The object that the version was registered from. If it is None, the version itself names the run."""
    logged_model: LoggedModel | None = None
    """The logged model that the version was registered from."""
    logged_model_link: LoggedModelLink | None = None
    logged_model_read_error: str | None = None
    """Why the logged model that the version's source names could not be read."""
    generative_evaluation: Mapping[str, Json] | None = None
    """The assessments of the logged model's traces, as ``generative_evaluation.py`` describes them; None before the
    first reading."""
    evaluation_read_error: str | None = None
    """Why the assessments could not be read."""
    other_names: tuple[str, ...] = ()
    """Former names of the model, as earlier syncs read them. Filled only if the logged model is linked by location."""
    incarnation: int = 1
    """The number of this version among the versions that have had the same name and number, from 1."""
    dangling_aliases: tuple[str, ...] = ()
    """The model's aliases that point to nonexistent versions, sorted."""
    manifest: ArtifactManifest | None = None
    """The manifest. None if manifests are disabled for the tenant, or if no manifest could be read yet."""
    manifest_read_error: str | None = None
    """Why the manifest could not be read."""
    changes_in_place: tuple[DetectedChange, ...] = ()
    """Files whose bytes changed although the version did not, the oldest change first."""
