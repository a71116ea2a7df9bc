"""Converts a manifest to and from JSON with the field names of ``ArtifactManifest``: the value of a JSONB column."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pydantic import TypeAdapter

from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.common.json_value import Json


@cache
def _codec() -> TypeAdapter[ArtifactManifest]:
    """Return the converter. It is built at its first use, since a sync without new files needs no converter."""
    return TypeAdapter(ArtifactManifest)


def manifest_to_json(manifest: ArtifactManifest) -> dict[str, Json]:
    """Return plain dictionaries, lists and scalars, keyed by the manifest's field names."""
    encoded: dict[str, Json] = _codec().dump_python(manifest, mode="json")
    return encoded


def manifest_from_json(value: Mapping[str, object]) -> ArtifactManifest:
    """Return the manifest from the JSON that ``manifest_to_json`` made.

    Raises:
        pydantic.ValidationError: A field is missing or of the wrong type (a ``ValueError``).
    """
    return _codec().validate_python(value)
