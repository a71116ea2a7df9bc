"""Hashing a stream of bytes: whole or not at all, and equal to what ``sha256sum`` prints."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.artifacts.hashing import FileHash, hash_stream, over_limit


@given(st.lists(st.binary(max_size=300)), st.integers(0, 1_000))
def test_a_stream_is_hashed_whole_or_not_at_all(chunks: list[bytes], max_bytes: int) -> None:
    content = b"".join(chunks)

    hashed = hash_stream(chunks, max_bytes)

    fits = len(content) <= max_bytes
    assert hashed == (FileHash(len(content), hashlib.sha256(content).hexdigest()) if fits else over_limit(max_bytes))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 2047, 2048, 65_536, 256 * 1024 + 1])
def test_the_hash_equals_that_of_sha256sum(size: int) -> None:
    content = os.urandom(size)
    expected = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout.split()[0].decode()

    assert hash_stream([content], size) == FileHash(size, expected)
    assert hash_stream([content[:10], b"", content[10:]], size) == FileHash(size, expected)


def test_nothing_is_read_beyond_the_limit() -> None:
    requested: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            requested.append(1)
            yield b"12345"

    assert hash_stream(endless(), 12) == over_limit(12)
    assert len(requested) == 3
