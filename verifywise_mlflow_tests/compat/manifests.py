"""What a record's manifest holds, in the form in which stories compare it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from verifywise_mlflow_tests.pipeline.syncing import Row


def hashes(kept: Row) -> dict[tuple[str, str], str]:
    """Return the SHA-256 of each file of a record, by root and path."""
    manifest = kept["artifact_manifest"]
    assert isinstance(manifest, Mapping)
    return {(file["root"], file["path"]): file["sha256"] for file in manifest["files"]}


def hashes_of(files: Mapping[str, bytes], root: str) -> dict[tuple[str, str], str]:
    """Return what ``hashes`` is to find for these files."""
    return {(root, path): hashlib.sha256(content).hexdigest() for path, content in files.items()}
