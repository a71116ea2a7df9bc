"""Opens the source of a model's files: the tracking server, or a store that the tenant allows us to read directly.

The tracking server comes first, because it knows where its files are. A store is read if the server does not serve
the files, if serving them fails, or if the tenant prefers the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from verifywise_mlflow.artifacts.http_source import HttpSource
from verifywise_mlflow.artifacts.location import (
    LoggedModelFiles,
    ModelLocation,
    RunFiles,
    StoredFiles,
    UnreachableFiles,
)
from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.stores.resolver import ArtifactStores, DirectSource
from verifywise_mlflow.connector.errors import ArtifactStoreError, EndpointNotFoundError
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.errors import CircuitOpenError, GatewayError, UnauthenticatedError
from verifywise_mlflow.pipeline.served_route import OwnStoreSource, RouteChoice, path_in_own_store
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant

_CANNOT_SERVE = (ArtifactStoreError, GatewayError, EndpointNotFoundError)
"""Errors of a server that lacks the library or the credentials for its store, or was started without serving
artifacts."""

ListDirectory = Callable[[str], Sequence[RemoteFile]]
OpenFile = Callable[[str, int], AbstractContextManager[Iterator[bytes]]]


class ServerSource(HttpSource):
    """One root of files, as the tracking server serves it."""

    passed_on = (UnauthenticatedError, CircuitOpenError)  # the stage handles both

    def __init__(self, list_directory: ListDirectory, open_file: OpenFile) -> None:
        super().__init__()
        self._list_directory = list_directory
        self._open_file = open_file

    @classmethod
    def for_run(cls, reader: Reader, run_id: str) -> ServerSource:
        """Return the artifacts of a run."""
        return cls(
            lambda path: reader.run_artifacts(run_id, path),
            lambda path, max_bytes: reader.run_artifact(run_id, path, max_bytes),
        )

    @classmethod
    def for_logged_model(cls, reader: Reader, model_id: str) -> ServerSource:
        """Return the artifacts of a logged model."""
        return cls(
            lambda path: reader.logged_model_artifacts(model_id, path),
            lambda path, max_bytes: reader.logged_model_artifact(model_id, path, max_bytes),
        )

    @classmethod
    def for_location(cls, reader: Reader, root: str) -> ServerSource:
        """Return the files below a path in the server's own store."""

        def list_directory(path: str) -> Sequence[RemoteFile]:
            # This route returns names relative to the listed directory.
            return [
                RemoteFile(f"{path}/{entry.path}" if path else entry.path, entry.is_directory, entry.size)
                for entry in reader.served_artifacts(f"{root}/{path}" if path else root)
            ]

        return cls(list_directory, lambda path, max_bytes: reader.served_artifact(f"{root}/{path}", max_bytes))

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries of a directory."""
        with self._read_errors():
            return self._list_directory(path)

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream the first ``max_bytes`` bytes of a file in chunks."""
        with self._open(self._open_file(path, max_bytes)) as chunks:
            yield chunks


class FallbackSource:
    """One root of files: served by the tracking server, or read from its store once serving has failed."""

    def __init__(self, served: DirectSource, stored: DirectSource) -> None:
        self._served = served
        self._stored = stored
        self._is_served = True

    @property
    def has_retryable_failure(self) -> bool:
        """Whether a read failed with an error that may be transient."""
        return (self._served if self._is_served else self._stored).has_retryable_failure

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries of a directory."""
        if self._is_served:
            try:
                return self._served.list_directory(path)
            except ArtifactReadError as error:
                self._fall_back(error)
        return self._stored.list_directory(path)

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream the first ``max_bytes`` bytes of a file in chunks."""
        with ExitStack() as stack:
            yield self._open(stack, path, max_bytes)

    def _open(self, stack: ExitStack, path: str, max_bytes: int) -> Iterator[bytes]:
        if self._is_served:
            try:
                return stack.enter_context(self._served.read(path, max_bytes))
            except ArtifactReadError as error:
                self._fall_back(error)
        return stack.enter_context(self._stored.read(path, max_bytes))

    def _fall_back(self, error: ArtifactReadError) -> None:
        if not isinstance(error.__cause__, _CANNOT_SERVE):
            raise error
        self._is_served = False


def open_stores(tenant: Tenant) -> ArtifactStores:
    """Return the stores that the tenant allows us to read directly. Connections are opened at the first read."""
    server = connection_settings(tenant)
    return ArtifactStores(
        [store.store_settings(server) for store in tenant.artifacts.stores],
        tenant.artifacts.allowed_locations,
        file_timeout_seconds=tenant.limits.file_timeout_seconds,
    )


def resolve_location(location: ModelLocation, stores: ArtifactStores) -> ModelLocation:
    """Return where a model's files can be read. If the server does not serve them, they are read from a store."""
    if isinstance(location, UnreachableFiles) and (opened := stores.open_model(location.uri)):
        _, path = opened
        return StoredFiles(location.uri, path)
    return location


def model_source(
    location: ModelLocation, reader: Reader, stores: ArtifactStores, routes: RouteChoice
) -> DirectSource | None:
    """Return the root that contains a model's files, or None if there is no such root."""
    match location:
        case LoggedModelFiles(model_id=model_id, uri=uri):
            return _source(ServerSource.for_logged_model(reader, model_id), uri, reader, stores, routes)
        case RunFiles(run_id=run_id, path=path, uri=uri):
            suffix = f"/{path}" if path else ""
            root = uri.rstrip("/")
            run_root = root.removesuffix(suffix) if root.endswith(suffix) else None
            return run_source(reader, run_id, run_root, stores, routes, may_be_empty=bool(path))
        case StoredFiles(uri=uri):
            opened = stores.open_model(uri)
            return opened[0] if opened else None
        case _:
            return None


def run_source(
    reader: Reader,
    run_id: str,
    artifact_uri: str | None,
    stores: ArtifactStores,
    routes: RouteChoice,
    *,
    may_be_empty: bool = True,
) -> DirectSource:
    """Return a run's artifacts.

    Args:
        reader: The tenant's server.
        run_id: The run.
        artifact_uri: The run's resolved artifact URI. If it is null, only the server is read.
        stores: The tenant's stores.
        routes: The routes of the server.
        may_be_empty: Whether a run without artifacts is plausible. It is not if the artifacts are the model.
    """
    by_object = ServerSource.for_run(reader, run_id)
    return _source(by_object, artifact_uri, reader, stores, routes, may_be_empty=may_be_empty)


def _source(
    by_object: ServerSource,
    uri: str | None,
    reader: Reader,
    stores: ArtifactStores,
    routes: RouteChoice,
    *,
    may_be_empty: bool = False,
) -> DirectSource:
    path = path_in_own_store(uri)
    served: DirectSource = by_object
    if path:
        served = OwnStoreSource(ServerSource.for_location(reader, path), by_object, routes, may_be_empty=may_be_empty)
    stored = stores.open_root(uri) if uri else None
    if uri is None or stored is None:
        return served
    return stored if stores.prefers_direct(uri) else FallbackSource(served, stored)
