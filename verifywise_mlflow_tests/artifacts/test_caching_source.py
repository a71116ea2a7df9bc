from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.caching_source import CachingSource
from verifywise_mlflow.artifacts.hashing import FileHash, NotHashed
from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow_tests.artifacts.trees import HostileSource, LocalSource, write_files


def test_a_result_over_the_limit_is_not_cached(tmp_path: Path) -> None:
    tree = CachingSource(write_files(tmp_path, {"x": "12345"}))

    assert isinstance(tree.file_hash("x", 4), NotHashed)
    assert isinstance(tree.file_hash("x", 5), FileHash)
    assert isinstance(tree.file_hash("x", 4), NotHashed)


def test_a_failed_listing_is_requested_once() -> None:
    source = HostileSource({})
    tree = CachingSource(source)
    with pytest.raises(ArtifactReadError):
        tree.list_directory("")
    source.listings = {"": []}

    with pytest.raises(ArtifactReadError, match="500"):
        tree.list_directory("")


def test_content_over_the_limit_is_rejected(tmp_path: Path) -> None:
    tree = CachingSource(write_files(tmp_path, {"x": "12345"}))

    assert tree.read_whole("x", 5) == b"12345"
    with pytest.raises(ArtifactReadError, match="larger than 4 bytes"):
        tree.read_whole("x", 4)


class SlowSource(LocalSource):
    """A folder whose server takes a moment, so that threads meet."""

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        entries = super().list_directory(path)
        time.sleep(0.02)
        return entries

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        with super().read(path, max_bytes) as chunks:
            time.sleep(0.02)
            yield chunks


def test_threads_share_one_listing_and_one_read_of_each_file(tmp_path: Path) -> None:
    write_files(tmp_path, {"MLmodel": "flavors:", "x": "12345", "y": "12345"})
    source = SlowSource(tmp_path)

    def read(number: int) -> object:
        match number % 3:
            case 0:
                return len(tree.list_directory(""))
            case 1:
                return tree.file_hash("xy"[number % 2], 5)
            case _:
                return tree.read_whole("MLmodel", 100)

    with ThreadPoolExecutor(12) as threads:
        tree = CachingSource(source)
        results = list(threads.map(read, range(24)))

    assert source.listed == [""]
    assert sorted(source.opened) == ["MLmodel", "x", "y"]
    assert len({str(result) for result in results}) == 3
