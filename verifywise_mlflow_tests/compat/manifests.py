"""The file hashes of a record's manifest, in a form that tests compare."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from verifywise_mlflow_tests.support.syncing import Row


def recorded_hashes(row: Row) -> dict[tuple[str, str], str]:
    """Return the SHA-256 of each file of a record, by root and path."""
    manifest = row["artifact_manifest"]
    assert isinstance(manifest, Mapping)
    return {(file["root"], file["path"]): file["sha256"] for file in manifest["files"]}


def expected_hashes(files: Mapping[str, bytes], root: str) -> dict[tuple[str, str], str]:
    """Return what ``recorded_hashes`` must return for these files."""
    return {(root, path): hashlib.sha256(content).hexdigest() for path, content in files.items()}
