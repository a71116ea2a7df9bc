"""Value sources: the tags, attributes and aliases in MLflow from which a field can take its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, model_validator

ValueSourceKind: TypeAlias = Literal[
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
    "artifact",
    "lifecycle stage",
    "config",
]
"""The kinds of sources. ``config`` means ``mapping.defaults`` in the tenant's settings. ``lifecycle stage`` means the
stage of the record, regardless of the source of the stage.

In an ``Origin``, both the attributes and the tags of a logged model have the source ``logged model``.
"""

SOURCE_ATTRIBUTES: Final[Mapping[ValueSourceKind, tuple[str, ...]]] = {
    "version": ("current_stage", "deployment_job_state", "description", "run_id", "source"),
    "model": ("description",),
    "run": ("artifact_uri", "experiment_id", "status", "user_id"),
    "experiment": ("name",),
    "logged model": ("artifact_uri", "experiment_id", "model_id", "model_type", "source_run_id"),
    "artifact": ("MLmodel flavors", "MLmodel prompts", "MLmodel tasks", "packages"),
}
"""The attributes of each object that a source may name, as MLflow's REST API calls them."""

HINTS: Final = frozenset(
    {
        ("logged model", "model_type"),
        *(("artifact", key) for key in ("MLmodel flavors", "MLmodel tasks", "packages")),
    }
)
"""The attributes that may have any text. Only a text with a normal form counts for a field."""

TAG_SOURCES: Final[tuple[ValueSourceKind, ...]] = ("version tag", "model tag", "run tag", "logged model tag")


class ValueSource(BaseModel):
    """One source of a field's value.

    In YAML: ``version tag`` (any synonym of the field), ``alias``, ``config``, ``{run tag: mlflow.user}`` (exactly that
    key), ``{run: user_id}`` (an attribute) or ``{highest of: [version tag, model tag]}`` (among these sources, the
    source whose value comes first in the field's normal forms).
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    source: ValueSourceKind | Literal["highest of"]
    key: str | None = None
    members: tuple[ValueSource, ...] = ()
    """The sources to compare, for ``highest of``."""

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: object) -> object:
        if isinstance(value, str):
            return {"source": value}
        if isinstance(value, Mapping) and len(value) == 1 and "source" not in value:
            ((source, key),) = value.items()
            return {"source": source, "members" if source == "highest of" else "key": key}
        return value

    @model_validator(mode="after")
    def _names_known_sources(self) -> ValueSource:
        if self.source == "highest of" or self.members:
            is_nested = any(member.members for member in self.members)
            if self.source != "highest of" or self.key is not None or not self.members or is_nested:
                raise ValueError("write {highest of: [...]} with a list of sources, none of which is a list itself")
            return self
        if self.source in TAG_SOURCES or (self.source in ("alias", "lifecycle stage", "config") and self.key is None):
            return self
        attributes = SOURCE_ATTRIBUTES.get(self.source, ())
        if self.key not in attributes:
            options = ", ".join(f"{{{self.source}: {name}}}" for name in attributes)
            raise ValueError(f"this is not a source of values; write {options or 'another source'}")
        return self

    def __str__(self) -> str:
        if self.members:
            return f"the highest of {' and '.join(map(str, self.members))}"
        return f"{self.source} {self.key}" if self.key else self.source
