"""The artifacts' room asks for files; these answer it: the tracking server, or a store of the tenant's.

The tracking server is asked first, since it knows best where its files lie. A store is read where the server does
not serve the files, where it turns out that it cannot, and where the store is said to be preferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from verifywise_mlflow.artifacts.location import (
    LoggedModelFiles,
    ModelLocation,
    RunFiles,
    StoredFiles,
    UnreachableFiles,
)
from verifywise_mlflow.artifacts.source import ArtifactUnreadable
from verifywise_mlflow.artifacts.stores.resolver import ArtifactStores, DirectSource
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.errors import (
    ArtifactStoreError,
    ConnectorError,
    GatewayError,
    NoSuchRouteError,
    CircuitOpenError,
    UnauthenticatedError,
)
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant

_CANNOT_SERVE = (ArtifactStoreError, GatewayError, NoSuchRouteError)
"""A server that lacks the library or the credentials for its store, or that was started not to serve artifacts."""

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
        """Return what the artifacts' room is told; refused credentials and a dead server are the stage's matter."""
        if isinstance(error, UnauthenticatedError | CircuitOpenError):
            return error
        self.failed_in_passing = self.failed_in_passing or error.retryable
        return ArtifactUnreadable(str(error))


class ServedOrStored:
    """One root of files: as the tracking server serves it or, from where that turns out to fail, as it is stored."""

    def __init__(self, served: ServedFiles, stored: DirectSource) -> None:
        self._served = served
        self._stored = stored
        self._is_served = True

    @property
    def failed_in_passing(self) -> bool:
        """Whether something could not be read that a later try may read."""
        return (self._served if self._is_served else self._stored).failed_in_passing

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries below a path."""
        if self._is_served:
            try:
                return self._served.list_directory(path)
            except ArtifactUnreadable as error:
                self._give_up_serving(error)
        return self._stored.list_directory(path)

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Give one file's first bytes in chunks."""
        with ExitStack() as opened:
            yield self._opened(opened, path, max_bytes)

    def _opened(self, opened: ExitStack, path: str, max_bytes: int) -> Iterator[bytes]:
        if self._is_served:
            try:
                return opened.enter_context(self._served.read(path, max_bytes))
            except ArtifactUnreadable as error:
                self._give_up_serving(error)
        return opened.enter_context(self._stored.read(path, max_bytes))

    def _give_up_serving(self, error: ArtifactUnreadable) -> None:
        if not isinstance(error.__cause__, _CANNOT_SERVE):
            raise error
        self._is_served = False


def open_stores(tenant: Tenant) -> ArtifactStores:
    """Return the places that the tenant lets us read directly; nothing is opened yet."""
    server = connection_settings(tenant)
    return ArtifactStores(
        [store.place(server) for store in tenant.artifacts.stores],
        tenant.artifacts.allowed_locations,
        file_seconds=tenant.bounds.file_seconds,
    )


def stored_location(location: ModelLocation, stores: ArtifactStores) -> ModelLocation:
    """Return the location, or, of files that the server does not serve, the one where the tenant lets them be read."""
    if isinstance(location, UnreachableFiles) and (found := stores.model_at(location.uri)):
        return StoredFiles(location.uri, found[1])
    return location


def files_at(location: ModelLocation, reader: Reader, stores: ArtifactStores) -> DirectSource | None:
    """Return the root that holds a model's files; null where there is none."""
    match location:
        case LoggedModelFiles(model_id=model_id, uri=uri):
            return _files(ServedFiles.of_logged_model(reader, model_id), uri, stores)
        case RunFiles(run_id=run_id, path=path, uri=uri):
            below = f"/{path}" if path else ""
            root = uri.rstrip("/")
            return files_of_run(reader, run_id, root.removesuffix(below) if root.endswith(below) else None, stores)
        case StoredFiles(uri=uri):
            found = stores.model_at(uri)
            return found[0] if found else None
        case _:
            return None


def files_of_run(reader: Reader, run_id: str, artifact_uri: str | None, stores: ArtifactStores) -> DirectSource:
    """Return a run's artifacts.

    Args:
        reader: The tenant's server.
        run_id: The run.
        artifact_uri: Its resolved artifact URI; null where it is not known, so that only the server can be asked.
        stores: The tenant's.
    """
    return _files(ServedFiles.of_run(reader, run_id), artifact_uri, stores)


def _files(served: ServedFiles, uri: str | None, stores: ArtifactStores) -> DirectSource:
    stored = stores.root_at(uri) if uri else None
    if uri is None or stored is None:
        return served
    return stored if stores.prefers_direct(uri) else ServedOrStored(served, stored)
