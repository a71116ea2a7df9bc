from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.caching_source import CachingSource
from verifywise_mlflow.artifacts.hashing import FileHash, NotHashed, hash_stream
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow_tests.artifacts.trees import HostileSource, write_files


@given(st.lists(st.binary()), st.integers(0, 100))
def test_a_stream_is_hashed_whole_or_not_at_all(chunks: list[bytes], max_bytes: int) -> None:
    content = b"".join(chunks)

    hashed = hash_stream(chunks, max_bytes)

    fits = len(content) <= max_bytes
    assert hashed == (FileHash(len(content), hashlib.sha256(content).hexdigest()) if fits else None)


def test_a_result_over_the_limit_is_not_cached(tmp_path: Path, sandbox: Sandbox) -> None:
    tree = CachingSource(write_files(tmp_path, {"x": "12345"}), sandbox)

    assert isinstance(tree.file_hash("x", 4), NotHashed)
    assert isinstance(tree.file_hash("x", 5), FileHash)
    assert isinstance(tree.file_hash("x", 4), NotHashed)


def test_a_failed_listing_is_requested_once(sandbox: Sandbox) -> None:
    source = HostileSource({})
    tree = CachingSource(source, sandbox)
    with pytest.raises(ArtifactReadError):
        tree.list_directory("")
    source.listings = {"": []}

    with pytest.raises(ArtifactReadError, match="500"):
        tree.list_directory("")


def test_content_over_the_limit_is_rejected(tmp_path: Path, sandbox: Sandbox) -> None:
    tree = CachingSource(write_files(tmp_path, {"x": "12345"}), sandbox)

    assert tree.read_whole("x", 5) == b"12345"
    with pytest.raises(ArtifactReadError, match="larger than 4 bytes"):
        tree.read_whole("x", 4)
