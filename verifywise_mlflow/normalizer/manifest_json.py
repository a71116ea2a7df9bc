"""The JSON that a record holds of an artifact manifest: the files, the environment, the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from verifywise_mlflow.artifacts.file_classifier import EVIDENCE
from verifywise_mlflow.artifacts.integrity import SeenChange
from verifywise_mlflow.artifacts.manifest import (
    ArtifactFile,
    ArtifactManifest,
    ModelSignature,
    Requirement,
    RuntimeEnvironment,
)
from verifywise_mlflow.normalizer.record import Json

CHANGES_SHOWN = 100
"""Of those that changed in place, the newest; all of them are in ``integrity_events``."""


def manifest_json(manifest: ArtifactManifest, changes: Sequence[SeenChange]) -> dict[str, Json]:
    """Return the whole manifest, and what has changed in place. ``total_bytes`` counts the files of known size."""
    return {
        "location": manifest.location,
        "status": manifest.status,
        "reason": manifest.reason,
        "digest": manifest.digest,
        "file_count": len(manifest.files),
        "total_bytes": sum(file.size or 0 for file in manifest.files),
        "hashed_count": sum(1 for file in manifest.files if file.sha256),
        "files": [{**_file_json(file), "note": file.note} for file in manifest.files],
        "signatures": [_signature_json(signature) for signature in manifest.signatures],
        "changed_in_place_count": len(changes),
        "changed_in_place": [_change_json(seen) for seen in changes[-CHANGES_SHOWN:]],
    }


def environment_json(environment: RuntimeEnvironment) -> dict[str, Json]:
    """Return what the model needs in order to run."""
    return {
        "python_version": environment.python_version,
        "packages": [_package_json(package) for package in environment.packages],
        "sources": list(environment.sources),
        "mlflow_version": environment.mlflow_version,
        "flavors": dict(environment.flavors),
        "serialization_format": environment.serialization_format,
        "model_size_bytes": environment.model_size_bytes,
        "signature": None if environment.signature is None else list(environment.signature),
        "reproducible": environment.reproducible,
        "missing_pins": list(environment.missing_pins),
        "problems": list(environment.problems),
    }


def evidence_json(manifest: ArtifactManifest) -> list[Json] | None:
    """Return the files that speak about the model; None where no listing could be had to look through."""
    if manifest.status == "unreachable" and not manifest.files:
        return None
    return [_file_json(file) for file in manifest.files if file.kind in EVIDENCE]


def _file_json(file: ArtifactFile) -> dict[str, Json]:
    return {
        "root": file.root,
        "path": file.path,
        "size": file.size,
        "sha256": file.sha256,
        "kind": file.kind.value,
    }


def _change_json(seen: SeenChange) -> dict[str, Json]:
    change = seen.change
    return {
        "kind": change.kind,
        "root": change.root,
        "path": change.path,
        "former_sha256": change.former_sha256,
        "sha256": change.sha256,
        "seen_at": seen.seen_at.isoformat(timespec="milliseconds"),
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
