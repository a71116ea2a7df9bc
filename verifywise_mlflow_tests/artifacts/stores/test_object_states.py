"""An object that its store shows unchanged is not downloaded again: on moto, Azurite and a Cloud Storage emulator."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest

from verifywise_mlflow.artifacts.caching_source import CachingSource
from verifywise_mlflow.artifacts.hashing import EarlierHash, FileHash
from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.stores.protocol import object_state
from verifywise_mlflow.artifacts.tree_walk import walk
from verifywise_mlflow_tests.artifacts.stores.backends import Backend

Hashes = Mapping[str, EarlierHash]
FILES = {"m/model.pkl": b"weights", "m/data/x": b"x", "m/empty": b""}


def read(backend: Backend, earlier: Hashes | None = None) -> tuple[Hashes, int]:
    """Hash all files; return the hashes, and the number of objects that were downloaded."""
    with backend.open_stores() as stores:
        source = stores.open_root(f"{backend.uri}/m")
        assert source is not None
        cached = CachingSource(source)
        cached.reuse_hashes(earlier or {})
        listing = walk(cached, "", ManifestLimits())
        listing_requests = stores.requests
        hashes: dict[str, EarlierHash] = {}
        for file in listing.files:
            file_hash = cached.file_hash(file.path, 1_000, file.size, file.store_state)
            assert isinstance(file_hash, FileHash)
            hashes[file.path] = EarlierHash(file_hash, file.store_state, is_settled=False)
        return hashes, stores.requests - listing_requests


def test_objects_that_the_store_shows_unchanged_are_not_downloaded_again(backend: Backend) -> None:
    backend.fill(FILES)
    first, downloads = read(backend)
    assert downloads == len(FILES)

    second, downloads = read(backend, first)

    assert downloads == 0
    assert second == first


@pytest.mark.parametrize("is_settled", [True, False])
def test_an_object_that_was_overwritten_with_as_many_bytes_is_downloaded(backend: Backend, is_settled: bool) -> None:
    backend.fill(FILES)
    first, _ = read(backend)
    backend.put("m/model.pkl", b"WEIGHTS")

    second, downloads = read(backend, {path: replace(item, is_settled=is_settled) for path, item in first.items()})

    assert downloads == 1
    assert second["model.pkl"].file_hash.sha256 == hashlib.sha256(b"WEIGHTS").hexdigest()


def test_objects_whose_state_was_not_stored_are_downloaded(backend: Backend) -> None:
    backend.fill(FILES)
    first, _ = read(backend)

    _, downloads = read(backend, {path: replace(item, store_state=None) for path, item in first.items()})

    assert downloads == len(FILES)


def test_a_store_without_etags_shows_no_state() -> None:
    assert object_state("", "2026-01-01T00:00:00Z") is None
    assert object_state("a", "b") != object_state("a", "c")
    assert object_state("a", "b") != object_state("ab", "")
