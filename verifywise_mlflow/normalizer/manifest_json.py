"""The JSON of an artifact manifest in the record: the files, the environment and the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from verifywise_mlflow.artifacts.file_classifier import EVIDENCE_KINDS
from verifywise_mlflow.artifacts.integrity import DetectedChange
from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    ModelSignature,
    Requirement,
    RuntimeEnvironment,
)
from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.normalizer.model_libraries import missing_libraries

MAX_MANIFEST_CHANGES = 100
"""The maximum number of changes in place that a record lists: the newest. The table ``integrity_events`` has all
changes."""


def manifest_json(manifest: ArtifactManifest, changes: Sequence[DetectedChange]) -> dict[str, Json]:
    """Return the whole manifest, and the files that were changed in place.

    The numbers are null if the files could not be listed: zero would claim that there are no files. ``total_bytes``
    sums the files whose size is known.
    """
    is_known = manifest.status != "unreachable" or bool(manifest.files)
    return {
        "location": manifest.location,
        "status": manifest.status,
        "reason": manifest.reason,
        "digest": manifest.digest,
        "file_count": len(manifest.files) if is_known else None,
        "total_bytes": sum(file.size or 0 for file in manifest.files) if is_known else None,
        "hashed_count": sum(1 for file in manifest.files if file.sha256) if is_known else None,
        "files": [{**_file_json(file), "note": file.note} for file in manifest.files],
        "signatures": [_signature_json(signature) for signature in manifest.signatures],
        "changed_in_place_count": len(changes),
        "changed_in_place": [_change_json(detected) for detected in changes[-MAX_MANIFEST_CHANGES:]],
    }


def environment_json(environment: RuntimeEnvironment) -> dict[str, Json]:
    """Return the model's runtime environment.

    An environment that does not name the library that loads the model is not reproducible, even if every package is
    pinned.
    """
    missing_pins = [*environment.missing_pins, *missing_libraries(environment)]
    return {
        "python_version": environment.python_version,
        "packages": [_package_json(package) for package in environment.packages],
        "sources": list(environment.sources),
        "mlflow_version": environment.mlflow_version,
        "flavors": dict(environment.flavors),
        "tasks": list(environment.tasks),
        "serialization_format": environment.serialization_format,
        "model_size_bytes": environment.model_size_bytes,
        "signature": None if environment.signature is None else list(environment.signature),
        "reproducible": not missing_pins,
        "missing_pins": missing_pins,
        "problems": list(environment.problems),
    }


def evidence_json(manifest: ArtifactManifest) -> list[Json] | None:
    """Return the files that are evidence about the model; None if the files could not be listed.

    A file without content is not evidence. MLflow lists an empty file without its size.
    """
    if manifest.status == "unreachable" and not manifest.files:
        return None
    return [_file_json(file) for file in manifest.files if file.kind in EVIDENCE_KINDS and file.size]


def empty_evidence_files(manifest: ArtifactManifest) -> list[ArtifactFile]:
    """Return the files that would be evidence if they had content."""
    return [file for file in manifest.files if file.kind in EVIDENCE_KINDS and not file.size]


def _file_json(file: ArtifactFile) -> dict[str, Json]:
    return {
        "root": file.root,
        "path": file.path,
        "size": file.size,
        "sha256": file.sha256,
        "kind": file.kind.value,
    }


def _change_json(detected: DetectedChange) -> dict[str, Json]:
    change = detected.change
    return {
        "kind": change.kind,
        "root": change.root,
        "path": change.path,
        "former_sha256": change.former_sha256,
        "sha256": change.sha256,
        "seen_at": detected.seen_at.isoformat(timespec="milliseconds"),
    }


def _signature_json(signature: ModelSignature) -> dict[str, Json]:
    return {
        "path": signature.path,
        "status": signature.status,
        "reason": signature.reason,
        "signer": signature.signer,
        "signed_count": signature.signed_count,
        "differences": list(signature.differences),
        "difference_count": signature.difference_count,
        "left_out_count": signature.left_out_count,
    }


def _package_json(package: Requirement) -> dict[str, Json]:
    return {
        "name": package.name,
        "specifier": package.specifier,
        "source": package.source,
        "pinned": package.pinned,
    }
