"""Derives the location of a model version's files from its registry entry. Pure.

``source`` is an arbitrary string that the client sent when it registered the version. Each form that MLflow's clients
write is recognized. Files at a source of any other form are unreachable, with the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from verifywise_mlflow.artifacts.uris import ArtifactUri, is_allowed_location, parse_uri
from verifywise_mlflow.artifacts.version_origin import VersionOrigin, parse_logged_model_id, parse_run_id
from verifywise_mlflow.connector.models import LoggedModel, TrainingRun

__all__ = [
    "LoggedModelFiles",
    "ModelLocation",
    "NoFiles",
    "RunFiles",
    "StoredFiles",
    "UnreachableFiles",
    "is_allowed_location",
    "locate_files",
    "path_in_root",
]

_DEFAULT_RUN_ID = re.compile(r"[0-9a-f]{32}")  # the form that MLflow generates


@dataclass(frozen=True, slots=True)
class LoggedModelFiles:
    """The files belong to a logged model (MLflow 3)."""

    model_id: str
    uri: str
    """The logged model's artifact URI, or ``models:/m-…`` if the logged model could not be read."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files are in a run's artifacts at ``path`` (relative, empty for all artifacts of the run)."""

    run_id: str
    path: str
    uri: str
    """The folder's resolved URI, or ``runs:/…`` if the run could not be read."""


@dataclass(frozen=True, slots=True)
class NoFiles:
    """MLflow names no location for the version's files."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnreachableFiles:
    """The version has a source, but the tracking server serves no files from it."""

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """The tracking server does not serve the files, but the tenant's settings allow reading them from their store."""

    uri: str
    path: str
    """Path of the model below the root that is read; empty for the root itself."""


ModelLocation: TypeAlias = LoggedModelFiles | RunFiles | StoredFiles | NoFiles | UnreachableFiles


def path_in_root(location: ModelLocation) -> str:
    """Return the path of the model's folder below the root that is read; empty if the root itself is the folder."""
    return location.path if isinstance(location, RunFiles | StoredFiles) else ""


def locate_files(origin: VersionOrigin, run: TrainingRun | None, logged_model: LoggedModel | None) -> ModelLocation:
    """Return where the files of a version are.

    Args:
        origin: What the version was registered from, from ``trace_origin``.
        run: The run of the origin; None if there is no run, or it could not be read.
        logged_model: The logged model of the origin; None if there is no logged model, or it could not be read.
    """
    if not (origin.source or "").strip():
        return NoFiles("the version names no source")
    source = (origin.files_source or "").strip()
    if not source:
        return UnreachableFiles((origin.source or "").strip(), origin.problem or "MLflow names no location")
    return _location_of_source(source, origin, run, logged_model)


def _location_of_source(
    source: str, origin: VersionOrigin, run: TrainingRun | None, logged_model: LoggedModel | None
) -> ModelLocation:
    uri = parse_uri(source)
    if uri.has_path_traversal:
        return UnreachableFiles(source, f"{source} contains a path traversal or an escaped separator")
    if location := _logged_model_files(source, uri, logged_model):
        return location
    if uri.scheme == "runs":
        return _run_files(source, uri, run)
    if run and run.artifact_uri and (path := uri.relative_to(parse_uri(run.artifact_uri))) is not None:
        return RunFiles(run.run_id, "/".join(path), source)
    if uri.anchor == "mlflow-artifacts:" and (files := _run_files_in_server_store(source, uri, origin)):
        return files
    return UnreachableFiles(source, _unreachable_reason(source, origin, run))


def _logged_model_files(source: str, uri: ArtifactUri, logged_model: LoggedModel | None) -> LoggedModelFiles | None:
    if logged_model and logged_model.artifact_uri and uri == parse_uri(logged_model.artifact_uri):
        return LoggedModelFiles(logged_model.model_id, logged_model.artifact_uri)
    model_id = parse_logged_model_id(source)
    if model_id is None:
        return None
    if uri.scheme == "models":
        artifact_uri = logged_model.artifact_uri if logged_model and logged_model.model_id == model_id else None
        return LoggedModelFiles(model_id, artifact_uri or source)
    # In the server's own store the path names the owner of the files, even if the logged model could not be read.
    is_whole_folder = uri.segments[-2:] == (model_id, "artifacts")
    return LoggedModelFiles(model_id, source) if uri.anchor == "mlflow-artifacts:" and is_whole_folder else None


def _run_files(source: str, uri: ArtifactUri, run: TrainingRun | None) -> ModelLocation:
    run_id = parse_run_id(source)
    if run_id is None:
        return UnreachableFiles(source, f"{source} is not a valid runs:/RUN_ID/path of this tracking server")
    path = uri.segments[1:]
    folder = run.artifact_uri if run and run.run_id == run_id else None
    return RunFiles(run_id, "/".join(path), "/".join([folder.rstrip("/"), *path]) if folder else source)


def _run_files_in_server_store(source: str, uri: ArtifactUri, origin: VersionOrigin) -> RunFiles | None:
    """Return the run that ``mlflow-artifacts:/EXPERIMENT/RUN/artifacts/path`` names, although it could not be read.

    The version's own run ID may have any form. Another run's ID must have the form that MLflow generates. Such a source
    is as trustworthy as ``runs:/RUN/path``: the client asserts it, and the server serves the files only from that run.
    """
    for position, (segment, following) in enumerate(zip(uri.segments, uri.segments[1:], strict=False)):
        if following == "artifacts" and (segment == origin.run_id or _DEFAULT_RUN_ID.fullmatch(segment)):
            return RunFiles(segment, "/".join(uri.segments[position + 2 :]), source)
    return None


def _unreachable_reason(source: str, origin: VersionOrigin, run: TrainingRun | None) -> str:
    if origin.run_id is None:
        return f"{source} cannot be read through a run: the version names none"
    if run is None:
        return f"{source} belongs to run {origin.run_id}, which could not be read"
    return f"{source} is outside the artifacts of run {run.run_id} ({run.artifact_uri or 'no artifact URI'})"
