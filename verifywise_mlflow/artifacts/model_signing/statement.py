"""Our manifest as the statement that OpenSSF Model Signing signs, and the bytes of it.

A statement says the same as the one in a signature that ``model_signing`` makes of the same folder: whoever has
both can compare them, or their root digests, without any of the bytes.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TypedDict
from urllib.parse import urlsplit

from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.artifacts.model_signing.spec import (
    DEFAULT_EXCLUSIONS,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    is_bundle_name,
    is_canonical,
    is_left_out,
    root_digest,
)


class NotExportableError(ValueError):
    """The manifest does not vouch for every byte of a model, or names something that OMS cannot. It says which."""


class Resource(TypedDict):
    """One file."""

    name: str
    digest: str
    algorithm: str


class Serialization(TypedDict):
    """How the files were chosen and hashed."""

    method: str
    hash_type: str
    allow_symlinks: bool
    ignore_paths: list[str]


class Predicate(TypedDict):
    """What is said of the subject."""

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


def export(manifest: ArtifactManifest) -> bytes:
    """The statement of ``manifest`` as JSON; the same manifest gives the same bytes.

    Raises:
        NotExportableError: as ``oms_statement``.
    """
    return json.dumps(oms_statement(manifest), indent=2, ensure_ascii=False).encode()


def oms_statement(manifest: ArtifactManifest) -> Statement:
    """The statement on the model's own folder; a run's other files are no part of the model.

    Left out are, as by ``model_signing``, git's files at the top and the signatures that lie there themselves.

    Raises:
        NotExportableError: The manifest is not complete, or not hashed, or no file is left to speak of.
    """
    if manifest.status != "complete":
        raise NotExportableError(f"the manifest is {manifest.status}, not complete: {manifest.reason}")
    model = [file for file in manifest.files if file.root == "model"]
    ignored = DEFAULT_EXCLUSIONS.union(file.path for file in model if is_bundle_name(file.path))
    resources: list[Resource] = []
    for file in sorted(model, key=lambda file: in_order(file.path)):
        if is_left_out(file.path, ignored):
            continue
        if file.sha256 is None:
            raise NotExportableError(f"{file.path!r} has no hash: {file.note}")
        if not is_canonical(file.path):
            raise NotExportableError(f"{file.path!r} is no name that a signed manifest may have")
        resources.append({"name": file.path, "digest": file.sha256, "algorithm": "sha256"})
    if not resources:
        raise NotExportableError("the model has no file")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {
                "name": _name_of(manifest.location),
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


def in_order(path: str) -> list[str]:
    """The key by which files are sorted: segment by segment, so that ``a/b`` goes before ``a.txt``.

    The specification (5.2.1) has the whole name compared, which puts ``a.txt`` first. model-signing 1.1.1 compares
    segments, and its root digests are those in the signatures that exist; no verifier asks for either order.
    """
    return path.split("/")


def _name_of(location: str | None) -> str:
    """The last segment of the model's URI, for people: nothing is told by it."""
    return PurePosixPath(urlsplit(location or "").path).name or "model"
