"""Caches the listings and hashes of one artifact root, so that all versions that share the root cause one read.

MLflow 2 runs often contain several registered models, and each version's manifest covers the whole run. A sync has one
``CachingSource`` per run. The next sync starts with an empty cache.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from verifywise_mlflow.artifacts.hashing import EarlierHash, FileHash, NotHashed, hash_stream, over_limit, size_mismatch
from verifywise_mlflow.artifacts.manifest import ReadOutcome
from verifywise_mlflow.artifacts.source import ArtifactReadError, ArtifactSource
from verifywise_mlflow.connector.models import RemoteFile

T = TypeVar("T")

MAX_CONTENT_BYTES = 256 * 1024
"""The maximum number of bytes of small files that are cached for one root. The environment files of a model have a few
thousand bytes."""


class CachingSource:
    """An ``ArtifactSource`` with a cache of listings, hashes and small files.

    Threads may share an instance: one thread requests a listing or a file, and the other threads wait for the result.
    """

    def __init__(self, source: ArtifactSource) -> None:
        self._source = source
        self._listings: dict[str, Sequence[RemoteFile] | ArtifactReadError] = {}
        self._hashes: dict[str, FileHash | NotHashed] = {}
        self._contents: dict[str, bytes] = {}
        """Path to content, for small files that the versions of one model share: ``MAX_CONTENT_BYTES`` in total."""
        self._earlier: dict[str, EarlierHash] = {}
        self._reused: set[str] = set()
        """The files whose hash was reused from an earlier sync."""
        self._lock = threading.Lock()
        self._listing_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._file_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @classmethod
    def wrap(cls, source: ArtifactSource) -> CachingSource:
        """Return ``source`` itself if it already caches, else wrap it."""
        return source if isinstance(source, CachingSource) else cls(source)

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List a directory through the cache. Failures are cached too: a dead server gets one request."""
        with self._one_at_a_time(self._listing_locks, path):
            if path not in self._listings:
                try:
                    self._listings[path] = self._source.list_directory(path)
                except ArtifactReadError as error:
                    self._listings[path] = error
        listing = self._listings[path]
        if isinstance(listing, ArtifactReadError):
            raise ArtifactReadError(str(listing)) from listing.__cause__
        return listing

    def read(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Read a file from the source. Bytes are not cached."""
        return self._source.read(path, max_bytes)

    def reuse_hashes(self, earlier: Mapping[str, EarlierHash]) -> None:
        """Reuse hashes of an earlier sync for files that are listed unchanged, without reading the bytes."""
        with self._lock:
            self._earlier.update(earlier)

    def has_reused_any(self, paths: Iterable[str]) -> bool:
        """Return whether the hash of any of these files was reused from an earlier sync."""
        return not self._reused.isdisjoint(paths)

    def file_hash(
        self, path: str, max_bytes: int, listed_size: int | None = None, store_state: str | None = None
    ) -> FileHash | NotHashed:
        """Return the hash of a file that has at most ``max_bytes`` bytes.

        Args:
            path: The file.
            max_bytes: The limit.
            listed_size: The file's size in the listing, in bytes.
            store_state: The file's state in the listing: see ``RemoteFile``.
        """
        with self._one_at_a_time(self._file_locks, path):
            cached = self._hashes.get(path)
            earlier = self._earlier.get(path)
            if cached is None and earlier and earlier.holds_for(listed_size, store_state):
                cached = self._hashes[path] = earlier.file_hash
                self._reused.add(path)
            if cached is None:
                cached = self._hash(path, max_bytes)
                # A result over the limit is not cached: the next version may have more of its own limit left.
                if isinstance(cached, FileHash) or cached.outcome is not ReadOutcome.OVER_LIMIT:
                    self._hashes[path] = cached
        if isinstance(cached, FileHash) and cached.size > max_bytes:
            return over_limit(max_bytes)
        if isinstance(cached, FileHash) and (mismatch := size_mismatch(listed_size, cached.size)):
            # The bytes may be a gateway's error page. Its hash must not be stored as the file's hash.
            return NotHashed(f"not hashed: {mismatch}")
        return cached

    def read_whole(self, path: str, max_bytes: int) -> bytes:
        """Return all bytes of a small file. The same bytes are hashed, so the hash belongs to the parsed bytes.

        Raises:
            ArtifactReadError: The file cannot be read, or is larger than ``max_bytes``.
        """
        with self._one_at_a_time(self._file_locks, path):
            known = self._contents.get(path)
            if known is not None and len(known) <= max_bytes:
                return known
            content = self._read_with_retry(lambda chunks: _read_bounded(chunks, max_bytes), path, max_bytes)
            # Raised outside the source's `with` block: an adapter may convert any OSError raised inside it.
            if len(content) > max_bytes:
                raise ArtifactReadError(f"larger than {max_bytes} bytes")
            self._hashes[path] = hash_stream([content], max_bytes)
            if sum(map(len, self._contents.values())) + len(content) <= MAX_CONTENT_BYTES:
                self._contents[path] = content
        return content

    def _one_at_a_time(self, locks: defaultdict[str, threading.Lock], path: str) -> threading.Lock:
        with self._lock:
            return locks[path]

    def _hash(self, path: str, max_bytes: int) -> FileHash | NotHashed:
        """Read one file and hash it. A read failure is returned, not raised."""
        try:
            return self._read_with_retry(lambda chunks: hash_stream(chunks, max_bytes), path, max_bytes)
        except ArtifactReadError as error:
            return NotHashed(f"not hashed: {error}")

    def _read_with_retry(self, take: Callable[[Iterator[bytes]], T], path: str, max_bytes: int) -> T:
        """Read a file. Retry once from its beginning if the stream broke off with a retryable error."""
        is_open = False
        try:
            with self._source.read(path, max_bytes + 1) as chunks:
                is_open = True
                return take(chunks)
        except ArtifactReadError as error:
            if not is_open or not getattr(error.__cause__, "retryable", False):
                raise
        with self._source.read(path, max_bytes + 1) as chunks:
            return take(chunks)


def _read_bounded(chunks: Iterator[bytes], max_bytes: int) -> bytes:
    """Join the chunks, up to one byte more than the limit."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > max_bytes:
            break
    return bytes(content)
