"""Derives where the files of a model version are from its registry entry. Pure.

``source`` is an arbitrary string that the client sent when it registered the version. Each form that MLflow's clients
write is recognized; any other is unreachable, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from verifywise_mlflow.artifacts.uris import ArtifactUri, is_allowed_location, parse_uri
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, TrainingRun

__all__ = [
    "LoggedModelFiles",
    "ModelLocation",
    "NoFiles",
    "RunFiles",
    "StoredFiles",
    "UnreachableFiles",
    "is_allowed_location",
    "locate_files",
    "parse_logged_model_id",
]

MAX_COPY_HOPS = 16
"""Copies of copies are followed up to this depth. People copy a version once per environment, three or four times."""

_LOGGED_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_RUN_ID = re.compile(r"[A-Za-z0-9][\w-]{0,255}", re.ASCII)  # as mlflow.utils.validation has it
_DEFAULT_RUN_ID = re.compile(r"[0-9a-f]{32}")  # as MLflow generates it
_VERSION_NUMBER = re.compile(r"[0-9]{1,10}")

VersionLookup: TypeAlias = Callable[[str, int], ModelVersion | None]
"""Returns the version with this model name and number, or ``None``."""


@dataclass(frozen=True, slots=True)
class LoggedModelFiles:
    """The files belong to a logged model (MLflow 3)."""

    model_id: str
    uri: str
    """The logged model's artifact URI, or ``models:/m-…`` if the logged model could not be read."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files are in a run's artifacts at ``path`` (relative, empty for all of them)."""

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


def locate_files(
    version: ModelVersion, run: TrainingRun | None, logged_model: LoggedModel | None, find_version: VersionLookup
) -> ModelLocation:
    """Return where the files of ``version`` are.

    Args:
        version: The version as the registry lists it.
        run: The version's run, ``None`` if it has none or the run could not be read.
        logged_model: The logged model that ``parse_logged_model_id`` names, ``None`` likewise.
        find_version: Returns the version that a copy was made from (``models:/NAME/VERSION``).
    """
    visited = {(version.model_name, version.version_number)}
    for _ in range(MAX_COPY_HOPS + 1):
        source = (version.source or "").strip()
        if not source:
            return NoFiles(f"version {version.version_number} of {version.model_name!r} names no source")
        if parse_uri(source).scheme != "models" or parse_logged_model_id(source):
            return _location_of_source(source, version, run, logged_model)
        origin = _copy_origin(source, find_version)
        if isinstance(origin, UnreachableFiles):
            return origin
        if (origin.model_name, origin.version_number) in visited:
            return UnreachableFiles(source, f"{source} leads back to a version that was copied from it")
        visited.add((origin.model_name, origin.version_number))
        version = origin
    return UnreachableFiles(source, f"{source} ends a chain of more than {MAX_COPY_HOPS} copies")


def parse_logged_model_id(source: str) -> str | None:
    """Return the logged model's id in ``models:/m-…`` or ``…/models/m-…/artifacts``, else ``None``."""
    uri = parse_uri(source.strip())
    segments = uri.segments
    if uri.anchor == "models:":
        # Exactly one segment: models:/m-…/3 is version 3 of a model that is named like an id.
        return segments[0] if len(segments) == 1 and _LOGGED_MODEL_ID.fullmatch(segments[0]) else None
    triples = zip(segments, segments[1:], segments[2:], strict=False)
    return next((b for a, b, c in triples if (a, c) == ("models", "artifacts") and _LOGGED_MODEL_ID.fullmatch(b)), None)


def _location_of_source(
    source: str, version: ModelVersion, run: TrainingRun | None, logged_model: LoggedModel | None
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
    if uri.anchor == "mlflow-artifacts:" and (files := _run_files_in_server_store(source, uri, version)):
        return files
    return UnreachableFiles(source, _unreachable_reason(source, version, run))


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
    if uri.anchor != "runs:" or not uri.segments or not _RUN_ID.fullmatch(uri.segments[0]):
        return UnreachableFiles(source, f"{source} is not a valid runs:/RUN_ID/path of this tracking server")
    run_id, *path = uri.segments
    folder = run.artifact_uri if run and run.run_id == run_id else None
    return RunFiles(run_id, "/".join(path), "/".join([folder.rstrip("/"), *path]) if folder else source)


def _run_files_in_server_store(source: str, uri: ArtifactUri, version: ModelVersion) -> RunFiles | None:
    """Return the run that ``mlflow-artifacts:/EXPERIMENT/RUN/artifacts/path`` names, although it could not be read.

    The version's own run id may have any form. Another run must have an id of the form that MLflow generates. That is
    as trustworthy as ``runs:/RUN/path``: the client asserts it, and the server serves it from that run or not at all.
    """
    for position, (segment, following) in enumerate(zip(uri.segments, uri.segments[1:], strict=False)):
        if following == "artifacts" and (segment == version.run_id or _DEFAULT_RUN_ID.fullmatch(segment)):
            return RunFiles(segment, "/".join(uri.segments[position + 2 :]), source)
    return None


def _copy_origin(source: str, find_version: VersionLookup) -> ModelVersion | UnreachableFiles:
    uri = parse_uri(source, unescape=False)
    name, _, number = "/".join(uri.segments).rpartition("/")
    if uri.anchor != "models:":
        return UnreachableFiles(source, f"{source} names another registry")
    if not name or not _VERSION_NUMBER.fullmatch(number):
        return UnreachableFiles(source, f"{source} names an alias, a stage or a bare name, whose target can change")
    # MLflow writes names unescaped, other writers escape them. A name may itself contain a percent sign.
    unescaped = "/".join(parse_uri(source).segments[:-1])
    origin = find_version(name, int(number)) or (find_version(unescaped, int(number)) if unescaped != name else None)
    return origin or UnreachableFiles(source, f"{source} is not in the registry")


def _unreachable_reason(source: str, version: ModelVersion, run: TrainingRun | None) -> str:
    if version.run_id is None:
        return f"{source} cannot be read through a run: the version names none"
    if run is None:
        return f"{source} belongs to run {version.run_id}, which could not be read"
    return f"{source} is outside the artifacts of run {run.run_id} ({run.artifact_uri or 'no artifact URI'})"
