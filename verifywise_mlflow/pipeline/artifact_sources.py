"""The artifacts' room asks for files; these answer it through the connector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from verifywise_mlflow.artifacts.source import ArtifactUnreadable
from verifywise_mlflow.connector.entities import RemoteFile
from verifywise_mlflow.connector.errors import ConnectorError, UnauthenticatedError
from verifywise_mlflow.connector.readers import Reader

Listing = Callable[[str], Sequence[RemoteFile]]
Stream = Callable[[str, int], AbstractContextManager[Iterator[bytes]]]


class ServedFiles:
    """One root of files, as the tracking server serves it."""

    def __init__(self, listing: Listing, stream: Stream) -> None:
        self._listing = listing
        self._stream = stream
        self.failed_in_passing = False
        """Whether something could not be read that a later try may read."""

    @classmethod
    def of_run(cls, reader: Reader, run_id: str) -> ServedFiles:
        """Return the artifacts of a run."""
        return cls(
            lambda path: reader.run_artifacts(run_id, path),
            lambda path, max_bytes: reader.run_artifact(run_id, path, max_bytes),
        )

    @classmethod
    def of_logged_model(cls, reader: Reader, model_id: str) -> ServedFiles:
        """Return the artifacts of a logged model."""
        return cls(
            lambda path: reader.logged_model_artifacts(model_id, path),
            lambda path, max_bytes: reader.logged_model_artifact(model_id, path, max_bytes),
        )

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries below a path."""
        try:
            return self._listing(path)
        except ConnectorError as error:
            raise self._unreadable(error) from error

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Give one file's first bytes in chunks."""
        try:
            with self._stream(path, max_bytes) as chunks:
                yield self._guarded(chunks)
        except ConnectorError as error:
            raise self._unreadable(error) from error

    def _guarded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except ConnectorError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: ConnectorError) -> Exception:
        """Return what the artifacts' room is told; refused credentials end the stage instead."""
        if isinstance(error, UnauthenticatedError):
            return error
        self.failed_in_passing = self.failed_in_passing or error.passing
        return ArtifactUnreadable(str(error))
