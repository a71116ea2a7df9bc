from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.caching_source import SharedTree
from verifywise_mlflow.artifacts.hashing import HashedBytes, NotHashed, hash_stream
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.source import ArtifactUnreadable
from verifywise_mlflow_tests.artifacts.trees import HostileTree, grow


@given(st.lists(st.binary()), st.integers(0, 100))
def test_a_stream_is_hashed_whole_or_not_at_all(chunks: list[bytes], max_bytes: int) -> None:
    content = b"".join(chunks)

    hashed = hash_stream(chunks, max_bytes)

    fits = len(content) <= max_bytes
    assert hashed == (HashedBytes(len(content), hashlib.sha256(content).hexdigest()) if fits else None)


def test_a_limit_that_was_too_small_is_not_remembered(tmp_path: Path, sandbox: Sandbox) -> None:
    tree = SharedTree(grow(tmp_path, {"x": "12345"}), sandbox)

    assert isinstance(tree.hash_of("x", 4), NotHashed)
    assert isinstance(tree.hash_of("x", 5), HashedBytes)
    assert isinstance(tree.hash_of("x", 4), NotHashed)


def test_a_failed_listing_is_asked_for_once(sandbox: Sandbox) -> None:
    source = HostileTree({})
    tree = SharedTree(source, sandbox)
    with pytest.raises(ArtifactUnreadable):
        tree.list_directory("")
    source.listings = {"": []}

    with pytest.raises(ArtifactUnreadable, match="500"):
        tree.list_directory("")


def test_content_over_the_limit_is_refused(tmp_path: Path, sandbox: Sandbox) -> None:
    tree = SharedTree(grow(tmp_path, {"x": "12345"}), sandbox)

    assert tree.content_of("x", 5) == b"12345"
    with pytest.raises(ArtifactUnreadable, match="larger than 4 bytes"):
        tree.content_of("x", 4)
