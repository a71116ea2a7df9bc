"""The common part of sources that read over HTTP: converts errors, and records whether an error may be transient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar

from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.http.errors import HttpError


class HttpSource:
    """The base class of an ``ArtifactSource`` that reads over HTTP. Threads may share an instance."""

    passed_on: ClassVar[tuple[type[HttpError], ...]] = ()
    """Errors that are raised unchanged, since they do not concern a file."""

    def __init__(self) -> None:
        self.has_retryable_failure = False
        """Whether a read failed with an error that may be transient."""

    @contextmanager
    def _read_errors(self) -> Iterator[None]:
        """Raise an HTTP error of the block as ``ArtifactReadError``."""
        try:
            yield
        except HttpError as error:
            if isinstance(error, self.passed_on):
                raise
            self.has_retryable_failure = self.has_retryable_failure or error.retryable
            raise ArtifactReadError(str(error)) from error

    @contextmanager
    def _open(self, file: AbstractContextManager[Iterator[bytes]]) -> Iterator[Iterator[bytes]]:
        """Open a file and yield its chunks."""
        with self._read_errors(), file as chunks:
            yield self._read(chunks)

    def _read(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self._read_errors():
            yield from chunks
