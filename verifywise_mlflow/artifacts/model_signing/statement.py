"""Exports a manifest as the statement that OpenSSF Model Signing signs.

The statement equals the statement that ``model_signing`` signs for the same folder. The two statements, or their root
digests, can be compared without the model's bytes.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TypedDict
from urllib.parse import urlsplit

from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.artifacts.model_signing.spec import (
    DEFAULT_IGNORED_PATHS,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    is_bundle_name,
    is_canonical_path,
    is_ignored,
    root_digest,
)


class NotExportableError(ValueError):
    """The manifest does not cover every byte of a model, or contains a path that OMS cannot express."""


class Resource(TypedDict):
    """One file."""

    name: str
    digest: str
    algorithm: str


class Serialization(TypedDict):
    """How files were selected and hashed."""

    method: str
    hash_type: str
    allow_symlinks: bool
    ignore_paths: list[str]


class Predicate(TypedDict):
    """The statement's content."""

    resources: list[Resource]
    serialization: Serialization


class Subject(TypedDict):
    """The model as a whole."""

    name: str
    digest: dict[str, str]


class Statement(TypedDict):
    """An in-toto Statement v1 with the predicate of model signing."""

    _type: str
    subject: list[Subject]
    predicateType: str
    predicate: Predicate


def export_statement(manifest: ArtifactManifest) -> bytes:
    """Return the statement as JSON. The same manifest always results in the same bytes.

    Raises:
        NotExportableError: for the same reasons as in ``oms_statement``.
    """
    return json.dumps(oms_statement(manifest), indent=2, ensure_ascii=False).encode()


def oms_statement(manifest: ArtifactManifest) -> Statement:
    """Return the statement on the model's own folder. A run's other files are not part of the model.

    As in ``model_signing``, git's files and the signatures at the top are ignored.

    Raises:
        NotExportableError: The manifest is incomplete, a file has no hash or a path that OMS cannot express, or no file
            remains.
    """
    if manifest.status != "complete":
        raise NotExportableError(f"the manifest is {manifest.status}, not complete: {manifest.reason}")
    model = [file for file in manifest.files if file.root == "model"]
    ignored = DEFAULT_IGNORED_PATHS.union(file.path for file in model if is_bundle_name(file.path))
    resources: list[Resource] = []
    for file in sorted(model, key=lambda file: path_sort_key(file.path)):
        if is_ignored(file.path, ignored):
            continue
        if file.sha256 is None:
            raise NotExportableError(f"{file.path!r} has no hash: {file.note}")
        if not is_canonical_path(file.path):
            raise NotExportableError(f"{file.path!r} is not a valid path in a signed manifest")
        resources.append({"name": file.path, "digest": file.sha256, "algorithm": "sha256"})
    if not resources:
        raise NotExportableError("the model has no file")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": _model_name(manifest.location),
                "digest": {"sha256": root_digest([resource["digest"] for resource in resources])},
            }
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "resources": resources,
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": sorted(ignored),
            },
        },
    }


def path_sort_key(path: str) -> list[str]:
    """Return the sort key of a path: its segments, so that ``a/b`` sorts before ``a.txt``.

    The specification (5.2.1) compares whole paths, which puts ``a.txt`` first. model-signing 1.1.1 compares segments,
    and existing signatures have its root digests. No verifier requires either order.
    """
    return path.split("/")


def _model_name(location: str | None) -> str:
    """Return the last segment of the model's URI, as a name for people."""
    return PurePosixPath(urlsplit(location or "").path).name or "model"
