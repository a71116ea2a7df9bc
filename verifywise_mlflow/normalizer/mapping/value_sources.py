"""The places in MLflow where a field's value may stand, and the fields that are filled from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, model_validator

PlaceKind: TypeAlias = Literal[
    "version",
    "version tag",
    "model",
    "model tag",
    "alias",
    "run",
    "run tag",
    "experiment",
    "logged model",
    "logged model tag",
    "config",
]
"""What can be looked at; ``config`` is ``mapping.defaults`` in the tenant's description.

An origin calls both what a logged model says and its tags ``logged model``.
"""

TAG_FIELDS: Final = (
    "business_purpose",
    "owner",
    "lifecycle_stage",
    "deployment_status",
    "code_commit",
    "training_entrypoint",
    "dataset_reference",
    "risk_category",
    "regulatory_scope",
    "data_sensitivity",
    "privacy_assessment_status",
    "compliance_approver",
    "security_assessment_version",
)
"""The record's fields that a tag can fill."""

DEFAULTED_FIELDS: Final = ("business_purpose", "owner", "risk_category", "regulatory_scope", "data_sensitivity")
"""The fields that a tenant's description may state for all versions at once. Not those that vouch for one version, as
an approval does, nor those that tell what became of one, as its stage does."""

PLACED_FIELDS: Final = (
    *TAG_FIELDS,
    "description",
    "source_run_id",
    "source_artifact_uri",
    "training_status",
    "experiment_id",
    "experiment_name",
    "artifact_uri",
)
"""The record's fields whose value is one text, taken from the first place that has one."""

ATTRIBUTES: Final[Mapping[PlaceKind, tuple[str, ...]]] = {
    "version": ("current_stage", "deployment_job_state", "description", "run_id", "source"),
    "model": ("description",),
    "run": ("artifact_uri", "experiment_id", "status", "user_id"),
    "experiment": ("name",),
    "logged model": ("artifact_uri", "experiment_id", "source_run_id"),
}
"""What a place may name of each object, in the words of MLflow's REST API."""

TAGGED: Final[tuple[PlaceKind, ...]] = ("version tag", "model tag", "run tag", "logged model tag")


class Place(BaseModel):
    """Where to look for a value.

    Written ``version tag`` (any synonym of the field), ``alias``, ``config``, ``{run tag: mlflow.user}`` (exactly that
    key) or ``{run: user_id}`` (an attribute).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    source: PlaceKind
    key: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _as_written(cls, written: object) -> object:
        if isinstance(written, str):
            return {"source": written}
        if isinstance(written, Mapping) and len(written) == 1 and "source" not in written:
            ((source, key),) = written.items()
            return {"source": source, "key": key}
        return written

    @model_validator(mode="after")
    def _exists(self) -> Place:
        if self.source in TAGGED or (self.source in ("alias", "config") and self.key is None):
            return self
        known = ATTRIBUTES.get(self.source, ())
        if self.key not in known:
            ways = ", ".join(f"{{{self.source}: {name}}}" for name in known)
            raise ValueError(f"no value can be taken from here; write {ways or 'another source'}")
        return self

    def __str__(self) -> str:
        return f"{self.source} {self.key}" if self.key else self.source
