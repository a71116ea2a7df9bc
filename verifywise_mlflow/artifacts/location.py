"""Where the files of a model version lie, told from what the registry says about it. Pure.

``source`` is whatever string the client sent when it registered the version, so each form that MLflow's
clients write is recognised here and everything else is said to be out of reach, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from verifywise_mlflow.artifacts.uris import Place, allowed, read_uri
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, TrainingRun

__all__ = [
    "LoggedModelFiles",
    "ModelLocation",
    "NoFiles",
    "RunFiles",
    "StoredFiles",
    "UnreachableFiles",
    "allowed",
    "locate",
    "logged_model_id_in",
]

MAX_HOPS = 16
"""Copies of copies are followed so far; people copy a version once per environment, three or four times."""

_LOGGED_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_RUN_ID = re.compile(r"[A-Za-z0-9][\w-]{0,255}", re.ASCII)  # as mlflow.utils.validation has it
_DEFAULT_RUN_ID = re.compile(r"[0-9a-f]{32}")  # what MLflow itself makes up
_VERSION_NUMBER = re.compile(r"[0-9]{1,10}")

VersionAt: TypeAlias = Callable[[str, int], ModelVersion | None]
"""The version with this model name and number, ``None`` where there is none."""


@dataclass(frozen=True, slots=True)
class LoggedModelFiles:
    """The files are a logged model's (MLflow 3)."""

    model_id: str
    uri: str
    """Its artifact URI, or ``models:/m-…`` where the logged model could not be read."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files are in a run's artifacts, at ``path`` (relative, empty for all of them)."""

    run_id: str
    path: str
    uri: str
    """The folder's resolved URI, or ``runs:/…`` where the run could not be read."""


@dataclass(frozen=True, slots=True)
class NoFiles:
    """MLflow shows no place where files could lie."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnreachableFiles:
    """There is a source, but nothing that the tracking server would serve for this version."""

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """The tracking server does not serve the files, but the tenant lets them be read where they lie."""

    uri: str
    path: str
    """Of the model below the root that is read; empty for the root itself."""


ModelLocation: TypeAlias = LoggedModelFiles | RunFiles | StoredFiles | NoFiles | UnreachableFiles


def locate(
    version: ModelVersion, run: TrainingRun | None, logged_model: LoggedModel | None, version_at: VersionAt
) -> ModelLocation:
    """Tell where the files of ``version`` lie.

    Args:
        version: The version as the registry lists it.
        run: Its run, ``None`` where it has none or it could not be read.
        logged_model: The logged model that ``logged_model_id_in`` names, likewise.
        version_at: Finds the version that a copy was made from (``models:/NAME/VERSION``).
    """
    seen = {(version.model_name, version.version_number)}
    for _ in range(MAX_HOPS + 1):
        source = (version.source or "").strip()
        if not source:
            return NoFiles(f"version {version.version_number} of {version.model_name!r} names no source")
        if read_uri(source).scheme != "models" or logged_model_id_in(source):
            return _at_source(source, version, run, logged_model)
        origin = _copied_from(source, version_at)
        if isinstance(origin, UnreachableFiles):
            return origin
        if (origin.model_name, origin.version_number) in seen:
            return UnreachableFiles(source, f"{source} leads back to a version that was copied from it")
        seen.add((origin.model_name, origin.version_number))
        version = origin
    return UnreachableFiles(source, f"{source} ends a chain of more than {MAX_HOPS} copies")


def logged_model_id_in(source: str) -> str | None:
    """The logged model's id in ``models:/m-…`` or ``…/models/m-…/artifacts``, ``None`` elsewhere."""
    place = read_uri(source.strip())
    segments = place.segments
    if place.anchor == "models:":
        # Exactly one segment: models:/m-…/3 is version 3 of a model that is named like an id.
        return segments[0] if len(segments) == 1 and _LOGGED_MODEL_ID.fullmatch(segments[0]) else None
    triples = zip(segments, segments[1:], segments[2:], strict=False)
    return next((b for a, b, c in triples if (a, c) == ("models", "artifacts") and _LOGGED_MODEL_ID.fullmatch(b)), None)


def _at_source(
    source: str, version: ModelVersion, run: TrainingRun | None, logged_model: LoggedModel | None
) -> ModelLocation:
    place = read_uri(source)
    if place.climbs:
        return UnreachableFiles(source, f"{source} climbs out of its own path, or hides a separator in it")
    if location := _logged_model_files(source, place, logged_model):
        return location
    if place.scheme == "runs":
        return _named_run(source, place, run)
    if run and run.artifact_uri and (path := place.below(read_uri(run.artifact_uri))) is not None:
        return RunFiles(run.run_id, "/".join(path), source)
    if place.anchor == "mlflow-artifacts:" and (files := _run_in_own_store(source, place, version)):
        return files
    return UnreachableFiles(source, _why_outside(source, version, run))


def _logged_model_files(source: str, place: Place, logged_model: LoggedModel | None) -> LoggedModelFiles | None:
    if logged_model and logged_model.artifact_uri and place == read_uri(logged_model.artifact_uri):
        return LoggedModelFiles(logged_model.model_id, logged_model.artifact_uri)
    model_id = logged_model_id_in(source)
    if model_id is None:
        return None
    if place.scheme == "models":
        known = logged_model.artifact_uri if logged_model and logged_model.model_id == model_id else None
        return LoggedModelFiles(model_id, known or source)
    # In the server's own store the path says whose files these are, also when the logged model could not be read.
    whole_folder = place.segments[-2:] == (model_id, "artifacts")
    return LoggedModelFiles(model_id, source) if place.anchor == "mlflow-artifacts:" and whole_folder else None


def _named_run(source: str, place: Place, run: TrainingRun | None) -> ModelLocation:
    if place.anchor != "runs:" or not place.segments or not _RUN_ID.fullmatch(place.segments[0]):
        return UnreachableFiles(source, f"{source} is no runs:/RUN_ID/path of this tracking server")
    run_id, *path = place.segments
    folder = run.artifact_uri if run and run.run_id == run_id else None
    return RunFiles(run_id, "/".join(path), "/".join([folder.rstrip("/"), *path]) if folder else source)


def _run_in_own_store(source: str, place: Place, version: ModelVersion) -> RunFiles | None:
    """The run that an ``mlflow-artifacts:/EXPERIMENT/RUN/artifacts/path`` names, though it could not be read.

    The version's own run may be named in any form; another one only by an id such as MLflow makes. That is worth
    as much as ``runs:/RUN/path``: the client asserts it, and the server serves it from that run or not at all.
    """
    for position, (segment, following) in enumerate(zip(place.segments, place.segments[1:], strict=False)):
        if following == "artifacts" and (segment == version.run_id or _DEFAULT_RUN_ID.fullmatch(segment)):
            return RunFiles(segment, "/".join(place.segments[position + 2 :]), source)
    return None


def _copied_from(source: str, version_at: VersionAt) -> ModelVersion | UnreachableFiles:
    place = read_uri(source, unescape=False)
    name, _, number = "/".join(place.segments).rpartition("/")
    if place.anchor != "models:":
        return UnreachableFiles(source, f"{source} names another registry")
    if not name or not _VERSION_NUMBER.fullmatch(number):
        return UnreachableFiles(source, f"{source} names an alias, a stage or a bare name: what it points to moves")
    # MLflow writes names as they are, other writers escape them; a name may itself hold a percent sign.
    unescaped = "/".join(read_uri(source).segments[:-1])
    origin = version_at(name, int(number)) or (version_at(unescaped, int(number)) if unescaped != name else None)
    return origin or UnreachableFiles(source, f"{source} is not in the registry")


def _why_outside(source: str, version: ModelVersion, run: TrainingRun | None) -> str:
    if version.run_id is None:
        return f"{source} is served through no run: the version names none"
    if run is None:
        return f"{source} is served through run {version.run_id}, which could not be read"
    return f"{source} lies outside the artifacts of run {run.run_id} ({run.artifact_uri or 'no artifact URI'})"
