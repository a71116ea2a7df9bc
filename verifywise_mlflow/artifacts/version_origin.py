"""Traces the origin from which a model version was registered: a run, a logged model, or another version. Pure.

MLflow's promotion registers a copy, whose source is ``models:/NAME/VERSION``. A copy has the run, the logged model and
the files of its original, so the chain of copies is followed to its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from verifywise_mlflow.artifacts.uris import parse_uri
from verifywise_mlflow.common.canonical_json import canonical_json, sha256_of
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.connector.models import ModelVersion

MAX_COPY_HOPS = 16
"""The maximum length of a chain of copies that is followed. People copy a version once per environment, so three or
four times."""

MAX_VERSION_NUMBER = 2**31 - 1
"""MLflow's column for the number of a version is a 32-bit integer, like ours."""

_LOGGED_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_RUN_ID = re.compile(r"[A-Za-z0-9][\w-]{0,255}", re.ASCII)  # the form in mlflow.utils.validation
_VERSION_NUMBER = re.compile(r"[0-9]{1,10}")

VersionKey: TypeAlias = tuple[str, int]
"""The model name and the number of a version."""

VersionLookup: TypeAlias = Callable[[str, int], ModelVersion | None]
"""Returns the version with this model name and number, or ``None``."""


@value_object
class VersionOrigin:
    """The origin of a version, at the end of its chain of copies."""

    source: str | None
    """The source of the original, or of the version itself if it is not a copy or its original is unknown."""
    run_id: str | None = None
    """The run that the version names, or else the run that the version's original or a source ``runs:/…`` names."""
    copied_from: tuple[VersionKey, ...] = ()
    """The chain from the version that was copied to the original; empty if the version is not a copy."""
    problem: str | None = None
    """Why the original of a copy is unknown."""
    location: str | None = None
    """The location of the files of a copy with an unknown original: MLflow resolved the source at registration."""

    @property
    def files_source(self) -> str | None:
        """The URI of the files' location; None for a copy whose location MLflow does not show."""
        return self.location if self.problem else self.source

    @property
    def logged_model_id(self) -> str | None:
        """The logged model that the source names."""
        return parse_logged_model_id(self.files_source) if self.files_source else None

    @property
    def logged_model_location(self) -> str | None:
        """The location key of a source that names a logged model by a path; null for ``models:/m-…``.

        Such a path only locates the files. The logged model is linked if its own location has this key.
        """
        source = self.files_source
        if self.logged_model_id is None or not source or parse_uri(source.strip()).scheme == "models":
            return None
        return location_key(source)


def trace_origin(
    version: ModelVersion,
    find_version: VersionLookup,
    find_origin: Callable[[ModelVersion], VersionOrigin | None] = lambda _: None,
) -> VersionOrigin:
    """Return the origin of a version.

    Args:
        version: The version as the registry lists it.
        find_version: Returns a version by its name and number, tombstones included.
        find_origin: Returns the origin that an earlier sync stored for the same version without a problem. This origin
            takes precedence: MLflow never changes a source, while another model may get the original's name at any
            time.
    """
    chain: list[VersionKey] = []
    visited = {_key(version)}
    current = version
    while True:
        source = (current.source or "").strip()
        if not names_version(source):
            run_id = version.run_id or current.run_id or parse_run_id(source)
            return VersionOrigin(current.source, run_id, tuple(chain))
        if stored := find_origin(current):
            copied_from = (*chain, *stored.copied_from)
            if len(copied_from) > MAX_COPY_HOPS:
                return _unknown(version, _too_long(source))
            return replace(stored, run_id=version.run_id or stored.run_id, copied_from=copied_from)
        if len(chain) == MAX_COPY_HOPS:
            return _unknown(version, _too_long(source))
        original = _original(current, source, find_version)
        if isinstance(original, str):
            return _unknown(version, original)
        if _key(original) in visited:
            return _unknown(version, f"{quote(source)} leads back to a version that was copied from it")
        visited.add(_key(original))
        chain.append(_key(original))
        current = original


def own_origin(version: ModelVersion) -> VersionOrigin:
    """Return the origin of a version that is not a copy."""
    return trace_origin(version, lambda _name, _number: None)


def names_version(source: str | None) -> bool:
    """Whether a source belongs to a copy: a ``models:`` URI that does not name a logged model."""
    stripped = (source or "").strip()
    # Each sync calls this function for every version, so the cheap test of the text comes before the parsing.
    return stripped[:7].lower() == "models:" and parse_logged_model_id(stripped) is None


def copy_targets(source: str | None) -> Iterator[VersionKey]:
    """Yield the versions that the source of a copy may mean, with the most likely version first.

    MLflow writes names unescaped; other writers escape them. A name may itself contain a percent sign.
    """
    stripped = (source or "").strip()
    uri = parse_uri(stripped, unescape=False)
    name, _, number = "/".join(uri.segments).rpartition("/")
    if uri.anchor != "models:" or not name or not _VERSION_NUMBER.fullmatch(number):
        return
    if int(number) > MAX_VERSION_NUMBER:
        return
    yield name, int(number)
    unescaped = "/".join(parse_uri(stripped).segments[:-1])
    if unescaped != name:
        yield unescaped, int(number)


def parse_logged_model_id(source: str) -> str | None:
    """Return the logged model's id in ``models:/m-…`` or ``…/models/m-…/artifacts``, else ``None``."""
    uri = parse_uri(source.strip())
    segments = uri.segments
    if uri.anchor == "models:":
        # Exactly one segment: models:/m-…/3 is version 3 of a model whose name looks like an ID.
        return segments[0] if len(segments) == 1 and _LOGGED_MODEL_ID.fullmatch(segments[0]) else None
    triples = zip(segments, segments[1:], segments[2:], strict=False)
    return next((b for a, b, c in triples if (a, c) == ("models", "artifacts") and _LOGGED_MODEL_ID.fullmatch(b)), None)


def parse_run_id(source: str) -> str | None:
    """Return the run's id in ``runs:/RUN/path``, else ``None``."""
    uri = parse_uri(source)
    if uri.anchor != "runs:" or not uri.segments or uri.has_path_traversal:
        return None
    return uri.segments[0] if _RUN_ID.fullmatch(uri.segments[0]) else None


def location_key(uri: str) -> str | None:
    """Return a key that two URIs share if they name exactly one location; ``None`` for a URI with a path traversal.

    Only ``file:`` URIs are unescaped: in an object store, ``te%61m`` and ``team`` are two keys.
    """
    stripped = uri.strip()
    parsed = parse_uri(stripped, unescape=stripped.lower().startswith("file:"))
    return None if parsed.has_path_traversal else sha256_of(canonical_json([parsed.anchor, *parsed.segments]))


def _original(copy: ModelVersion, source: str, find_version: VersionLookup) -> ModelVersion | str:
    """Return the version from which a copy was made, or why this version is unknown."""
    if parse_uri(source).anchor != "models:":
        return f"{quote(source)} names another registry"
    targets = list(copy_targets(source))
    if not targets:
        return f"{quote(source)} names an alias, a stage or a bare name, whose target can change"
    original = next(filter(None, (find_version(*target) for target in targets)), None)
    if original is None:
        return f"{quote(source)} is not in the registry"
    if original.created_at and copy.created_at and original.created_at > copy.created_at:
        return f"{quote(source)} was created after the copy: the original was deleted, and another version has its name"
    if original.run_id and copy.run_id and original.run_id != copy.run_id:
        # MLflow's copy has the run of its original. Another model may have been renamed to the original's name.
        return f"{quote(source)} has another run than the copy, so it is not the version that was copied"
    return original


def _unknown(version: ModelVersion, problem: str) -> VersionOrigin:
    return VersionOrigin(version.source, version.run_id, problem=problem)


def _too_long(source: str) -> str:
    return f"{quote(source)} ends a chain of more than {MAX_COPY_HOPS} copies"


def _key(version: ModelVersion) -> VersionKey:
    return version.model_name, version.version_number
