"""The protocol for reading artifacts. Its implementations take care of HTTP and credentials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from verifywise_mlflow.connector.models import RemoteFile


class ArtifactReadError(OSError):
    """A listing or a file could not be read. The message is shown to people: no secrets, no traceback."""


class ArtifactSource(Protocol):
    """One root of files: the artifacts of a run or of a logged model."""

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """Return the entries below ``path`` (relative, ``""`` for the root), with paths relative to the same root.

        A path that is a file or does not exist has no entries: MLflow does not distinguish the two cases.

        Raises:
            ArtifactReadError: The listing failed or is incomplete.
        """

    def read(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Open one file and iterate over its bytes, ending after ``max_bytes`` even if the file continues.

        To detect a longer file, readers request one byte more than they accept.

        Raises:
            ArtifactReadError: The file cannot be opened, or, during iteration, the stream breaks off before its end.
        """
