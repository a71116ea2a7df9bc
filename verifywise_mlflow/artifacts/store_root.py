"""The part of an artifact store that a model's folder belongs to: the outage guard evaluates it as a unit. Pure.

MLflow gives each experiment an artifact location, and each run and logged model a folder below this location. Two
experiments may be in two stores, and only one of the two stores may be unavailable.
"""

from __future__ import annotations

from verifywise_mlflow.artifacts.location import (
    LoggedModelFiles,
    ModelLocation,
    NoFiles,
    RunFiles,
    StoredFiles,
    UnreachableFiles,
)
from verifywise_mlflow.artifacts.uris import parse_uri


def store_root(location: ModelLocation, stored_below: str | None) -> str:
    """Return the URI that identifies the store of a model's folder.

    Args:
        location: The folder.
        stored_below: The prefix of the tenant's store that covers the folder, for files that are read directly.
    """
    match location:
        case NoFiles():
            return ""
        case RunFiles(run_id=run_id, uri=uri):
            owner = f"/{run_id}/artifacts"
        case LoggedModelFiles(model_id=model_id, uri=uri):
            owner = f"/models/{model_id}/artifacts"
        case StoredFiles(uri=uri) | UnreachableFiles(uri=uri):
            return (stored_below or parse_uri(uri).anchor).rstrip("/")
    experiment, found, _ = uri.partition(owner)
    return experiment if found else parse_uri(uri).anchor.rstrip("/")
