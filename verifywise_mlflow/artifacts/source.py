"""What this room asks of whoever can reach the files. HTTP and credentials are the adapter's business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from verifywise_mlflow.connector.models import RemoteFile


class ArtifactUnreadable(OSError):  # noqa: N818 - says what happened to the artifact; every room catches it by this name
    """A listing or a file could not be had. Its text is shown to people: no secrets, no stack."""


class ArtifactSource(Protocol):
    """One root of files: a run's artifacts or a logged model's."""

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """The entries below ``path`` (relative, ``""`` for the root), their paths relative to the same root.

        A path that is a file or does not exist has no entries: MLflow does not tell these apart.

        Raises:
            ArtifactUnreadable: No complete listing could be had.
        """

    def read(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of one file in chunks, ending after ``max_bytes`` bytes even where the file goes on.

        Readers ask for one byte more than they take, and so see that there was more.

        Raises:
            ArtifactUnreadable: On opening, or while iterating where the stream breaks off before its end.
        """
