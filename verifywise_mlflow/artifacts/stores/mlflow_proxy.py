"""``http(s)://`` artifact URIs. HTTP has no listings, so the only web servers that can be read are MLflow servers.

A URI with ``…/mlflow-artifacts/artifacts/…`` belongs to an MLflow server that serves artifacts, and is read as MLflow's
own client reads it. The files of other web servers cannot be listed, not even by MLflow's client: reading such a URI
fails, and the error states this reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import quote, unquote

from verifywise_mlflow.artifacts.http_source import HttpSource
from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.stores.http_client import StoreClient
from verifywise_mlflow.artifacts.stores.protocol import escape_key
from verifywise_mlflow.artifacts.tree_walk import require_normalized
from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import InvalidResponseError

_ROUTE = "/mlflow-artifacts/artifacts"
NO_LISTING = "a web server cannot list its files, unless it is an MLflow server's …/mlflow-artifacts/artifacts/…"


class MlflowProxySource(HttpSource):
    """An ``ArtifactSource``: a folder that another MLflow server serves."""

    def __init__(self, client: StoreClient, uri: str) -> None:
        """Describe the folder.

        Args:
            client: The HTTP client for the server.
            uri: The folder's URI, as MLflow writes it, in canonical form.
        """
        super().__init__()
        self._client = client
        base, route, root = uri.partition(_ROUTE)
        self._endpoint = f"{base}{route}" if route and root[:1] in ("", "/") else None
        self._root = unquote(root.strip("/"))

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List one directory."""
        url = f"{self._endpoint_or_refuse()}?path={quote(self._below_root(path), safe='')}"
        with self._read_errors():
            entries = _entries(self._client.fetch(url))
        # This endpoint returns names relative to the listed directory.
        return [
            RemoteFile(f"{path}/{entry.path}" if path else entry.path, entry.is_directory, entry.size)
            for entry in entries
        ]

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Yield one file's first bytes in chunks."""
        require_normalized(path)
        url = f"{self._endpoint_or_refuse()}/{escape_key(self._below_root(path))}"
        with self._open(self._client.stream(url, max_bytes)) as chunks:
            yield chunks

    def _endpoint_or_refuse(self) -> str:
        if self._endpoint is None:
            raise ArtifactReadError(NO_LISTING)
        return self._endpoint

    def _below_root(self, path: str) -> str:
        return "/".join(part for part in (self._root, path) if part)


def _entries(body: bytes) -> list[RemoteFile]:
    try:
        listing = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidResponseError("the server did not respond with JSON") from None
    if not isinstance(listing, dict):
        raise InvalidResponseError("the server did not respond with a listing")
    files, problems = parsing.parse_rows(listing.get("files"), parsing.remote_file, "files")
    if problems:
        raise InvalidResponseError("; ".join(problems))
    return files
