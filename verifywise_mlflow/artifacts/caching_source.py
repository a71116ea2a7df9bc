"""One root of files whose listings and hashes are fetched once, however many versions share it.

MLflow 2 runs often hold several registered models: each version's manifest covers the whole run. A sync keeps one
``SharedTree`` per run for as long as it wants the answers to hold; a new sync starts with new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from verifywise_mlflow.artifacts.hashing import HashedBytes, NotHashed, over_the_limit, size_difference
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.source import ArtifactSource, ArtifactUnreadable
from verifywise_mlflow.connector.models import RemoteFile

T = TypeVar("T")


class SharedTree:
    """An ``ArtifactSource`` with a memory; its hashes come from a sandbox. Not for use from several threads at once."""

    def __init__(self, source: ArtifactSource, sandbox: Sandbox) -> None:
        self._source = source
        self._sandbox = sandbox
        self._listings: dict[str, Sequence[RemoteFile] | ArtifactUnreadable] = {}
        self._hashes: dict[str, HashedBytes | NotHashed] = {}
        self._former: Mapping[str, HashedBytes] = {}
        self.took_over = False
        """Whether a hash was taken over from an earlier reading."""

    @classmethod
    def of(cls, source: ArtifactSource, sandbox: Sandbox) -> SharedTree:
        """``source`` itself where it already is one."""
        return source if isinstance(source, SharedTree) else cls(source, sandbox)

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """As the source lists it; failures are remembered too, so that a dead server is asked once."""
        if path not in self._listings:
            try:
                self._listings[path] = self._source.list_directory(path)
            except ArtifactUnreadable as error:
                self._listings[path] = error
        listing = self._listings[path]
        if isinstance(listing, ArtifactUnreadable):
            raise ArtifactUnreadable(str(listing)) from listing
        return listing

    def read(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """As the source reads it: bytes are not kept."""
        return self._source.read(path, max_bytes)

    def take_over(self, former: Mapping[str, HashedBytes]) -> None:
        """Let hashes of an earlier reading stand for files that are listed with the same size. Bytes are not read."""
        self._former = former

    def hash_of(self, path: str, max_bytes: int, listed_size: int | None = None) -> HashedBytes | NotHashed:
        """The file's hash, where it has no more than ``max_bytes`` bytes."""
        known = self._hashes.get(path)
        former = self._former.get(path)
        if known is None and former and former.size == listed_size:
            known = self._hashes[path] = former
            self.took_over = True
        if known is None:
            known = self._hash(path, max_bytes)
            if known != over_the_limit(max_bytes):  # the next version may have more of its limit left
                self._hashes[path] = known
        if isinstance(known, HashedBytes) and known.size > max_bytes:
            return over_the_limit(max_bytes)
        if isinstance(known, HashedBytes) and (difference := size_difference(listed_size, known.size)):
            # A gateway's page in the place of the file, say. Its hash would be that of something else.
            return NotHashed(f"not hashed: {difference}")
        return known

    def content_of(self, path: str, max_bytes: int) -> bytes:
        """All bytes of a small file; its hash is remembered, so that what is parsed is what was hashed.

        Raises:
            ArtifactUnreadable: It cannot be read, or is larger than ``max_bytes``.
        """
        content = self._once_more(lambda chunks: _joined(chunks, max_bytes), path, max_bytes)
        # Raised out here: an adapter that turns the OSErrors of its `with` block into its own would take this one too.
        if len(content) > max_bytes:
            raise ArtifactUnreadable(f"larger than {max_bytes} bytes")
        self._hashes[path] = self._sandbox.hash([content], max_bytes)
        return content

    def _hash(self, path: str, max_bytes: int) -> HashedBytes | NotHashed:
        """Read one file and hash it. Failures to read are values, not errors."""
        try:
            return self._once_more(lambda chunks: self._sandbox.hash(chunks, max_bytes), path, max_bytes)
        except ArtifactUnreadable as error:
            return NotHashed(f"not hashed: {error}")

    def _once_more(self, take: Callable[[Iterator[bytes]], T], path: str, max_bytes: int) -> T:
        """Read a file; once more from its beginning where it broke off in passing, which no opening can know."""
        is_open = False
        try:
            with self._source.read(path, max_bytes + 1) as chunks:
                is_open = True
                return take(chunks)
        except ArtifactUnreadable as error:
            if not is_open or not getattr(error.__cause__, "passing", False):
                raise
        with self._source.read(path, max_bytes + 1) as chunks:
            return take(chunks)


def _joined(chunks: Iterator[bytes], max_bytes: int) -> bytes:
    """Join the chunks, to no more than one byte beyond the limit."""
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > max_bytes:
            break
    return bytes(content)
