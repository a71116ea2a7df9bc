"""``http(s)://`` locations. HTTP itself knows no listing, so only one kind of web server can be read: another MLflow.

Where an artifact URI holds ``…/mlflow-artifacts/artifacts/…``, the server there is an MLflow that serves artifacts,
and it is asked as MLflow's own client would ask it. Of any other web server nobody can say which files it has, not
even MLflow's client: such a location is unreachable, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import quote, unquote

from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.stores.http_client import StoreClient
from verifywise_mlflow.artifacts.stores.protocol import escape_key
from verifywise_mlflow.artifacts.walk import rejection_reason
from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import HttpError, InvalidResponseError

_ROUTE = "/mlflow-artifacts/artifacts"
NO_LISTING = "a web server has no listing of its files, unless it is an MLflow server's …/mlflow-artifacts/artifacts/…"


class MlflowProxySource:
    """An ``ArtifactSource``: a folder that another MLflow server serves."""

    def __init__(self, connection: StoreClient, uri: str) -> None:
        """Describe the folder.

        Args:
            connection: To the server.
            uri: The folder's URI, as MLflow writes it, in its plain form.
        """
        self._connection = connection
        base, route, root = uri.partition(_ROUTE)
        self._endpoint = f"{base}{route}" if route and root[:1] in ("", "/") else None
        self._root = unquote(root.strip("/"))
        self.has_retryable_failure = False
        """Whether something could not be read that a later try may read."""

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List one directory."""
        asked = f"{self._endpoint_or_refuse()}?path={quote(self._below_root(path), safe='')}"
        try:
            found = _entries(self._connection.fetch(asked))
        except HttpError as error:
            raise self._unreadable(error) from error
        # This route tells each name relative to the directory that was asked for.
        return [
            RemoteFile(f"{path}/{entry.path}" if path else entry.path, entry.is_directory, entry.size)
            for entry in found
        ]

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Give one file's first bytes in chunks."""
        if rejection_reason(RemoteFile(path, False, None), ""):
            raise ArtifactReadError("its name is not in its plain form")
        url = f"{self._endpoint_or_refuse()}/{escape_key(self._below_root(path))}"
        try:
            with self._connection.stream(url, max_bytes) as chunks:
                yield self._guarded(chunks)
        except HttpError as error:
            raise self._unreadable(error) from error

    def _endpoint_or_refuse(self) -> str:
        if self._endpoint is None:
            raise ArtifactReadError(NO_LISTING)
        return self._endpoint

    def _below_root(self, path: str) -> str:
        return "/".join(part for part in (self._root, path) if part)

    def _guarded(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except HttpError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: HttpError) -> ArtifactReadError:
        self.has_retryable_failure = self.has_retryable_failure or error.retryable
        return ArtifactReadError(str(error))


def _entries(body: bytes) -> list[RemoteFile]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidResponseError("the server answered with what is no JSON") from None
    if not isinstance(answer, dict):
        raise InvalidResponseError("the server answered with what is no listing")
    files, problems = parsing.parse_rows(answer.get("files"), parsing.remote_file, "files")
    if problems:
        raise InvalidResponseError("; ".join(problems[:3]))
    return files
