"""The places that a tenant lets us read directly, and which of them covers a URI. Each is opened when first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from verifywise_mlflow.artifacts.source import ArtifactSource, ArtifactUnreadable
from verifywise_mlflow.artifacts.stores.azure import Azure
from verifywise_mlflow.artifacts.stores.bucket_source import Bucket, ObjectFiles
from verifywise_mlflow.artifacts.stores.gcs import Gcs
from verifywise_mlflow.artifacts.stores.http_client import StoreConnection
from verifywise_mlflow.artifacts.stores.local_folder import FolderFiles
from verifywise_mlflow.artifacts.stores.mlflow_proxy import WebFiles
from verifywise_mlflow.artifacts.stores.protocol import Dialect
from verifywise_mlflow.artifacts.stores.s3 import S3
from verifywise_mlflow.artifacts.stores.settings import FolderPlace, ObjectPlace, Place, WebPlace, bucket_of
from verifywise_mlflow.artifacts.uris import Place as Location
from verifywise_mlflow.artifacts.uris import allowed, is_plain, read_uri
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import ConnectorError


class DirectSource(ArtifactSource, Protocol):
    """A root of files that says whether another try may read more."""

    @property
    def failed_in_passing(self) -> bool:
        """Whether something could not be read that a later try may read."""


class ArtifactStores:
    """A tenant's places for as long as a sync lasts. Not for use from several threads at once."""

    def __init__(
        self, places: Sequence[Place], allowed_locations: Sequence[str] | None = None, *, file_seconds: float = 1_800.0
    ) -> None:
        """Describe the places; nothing is opened yet.

        Args:
            places: Where files may be read directly.
            allowed_locations: URI prefixes that narrow them; null narrows nothing.
            file_seconds: How long the reading of one local file may take.
        """
        # The longest prefix first: what is said of a folder goes before what is said of the bucket around it.
        self._places = sorted(places, key=lambda place: -len(read_uri(place.prefix).segments))
        self._allowed = allowed_locations
        self._file_seconds = file_seconds
        self._connections: dict[str, StoreConnection] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def __enter__(self) -> ArtifactStores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._buckets.clear()

    @property
    def requests(self) -> int:
        """Sent so far, to all stores."""
        return sum(connection.requests for connection in self._connections.values())

    @property
    def bytes_read(self) -> int:
        """Read so far, from all stores but local folders."""
        return sum(connection.bytes_read for connection in self._connections.values())

    def covers(self, uri: str) -> bool:
        """Whether files at the URI may be read directly."""
        return self._place(uri) is not None

    def prefers_direct(self, uri: str) -> bool:
        """Whether they are to be, though the tracking server may serve them, too."""
        place = self._place(uri)
        return place is not None and place.prefers_direct

    def root_at(self, uri: str) -> DirectSource | None:
        """Return the folder at the URI, a run's artifacts or a logged model's; null where no place covers it."""
        place = self._place(uri)
        return self._opened(place, uri, "") if place else None

    def model_at(self, uri: str) -> tuple[DirectSource, str] | None:
        """Return a root and the path below it at which a model's folder lies, or the single file that is the model.

        The root is the folder around it, where that is covered by the same place: only there a file has a name.
        """
        place = self._place(uri)
        if place is None:
            return None
        parent, _, name = uri.rstrip("/").rpartition("/")
        if isinstance(place, WebPlace) or self._place(parent) is not place:
            return self._opened(place, uri, ""), ""
        return self._opened(place, parent, name), _location(uri, place).segments[-1]

    def _place(self, uri: str) -> Place | None:
        if not is_plain(uri) or not allowed(uri, self._allowed):
            return None
        return next((place for place in self._places if _covers(place, uri)), None)

    def _opened(self, place: Place, root: str, model_path: str) -> DirectSource:
        try:
            match place:
                case FolderPlace():
                    below = _location(root, place).below(_location(place.prefix, place))
                    assert below is not None
                    return FolderFiles(place.root, below, seconds=self._file_seconds)
                case WebPlace():
                    return WebFiles(self._connection(place, {}), root)
                case ObjectPlace():
                    key = "/".join(_location(root, place).segments)
                    return ObjectFiles(self._bucket(place, root), key, model_path)
        except ConnectorError as error:
            return _Unopened(f"the store {place.prefix} cannot be opened: {error}")

    def _bucket(self, place: ObjectPlace, root: str) -> Bucket:
        # Names outside of allowed_locations are not even listed.
        around = [place.prefix, *(prefix for prefix in self._allowed or () if allowed(root, [prefix]))]
        scope = max(("/".join(_location(prefix, place).segments) for prefix in around), key=len)
        known = self._buckets.get((place.prefix, scope))
        if known is None:
            dialect = _dialect(place)
            known = Bucket(self._connection(place, dialect.headers), dialect, f"{scope}/" if scope else "")
            self._buckets[place.prefix, scope] = known
        return known

    def _connection(self, place: ObjectPlace | WebPlace, headers: Mapping[str, str]) -> StoreConnection:
        if place.prefix not in self._connections:
            self._connections[place.prefix] = StoreConnection(place.network, headers)
        return self._connections[place.prefix]


class _Unopened:
    """Stands for a place whose description is of no use: it says so for all that is asked of it."""

    failed_in_passing = True  # a secret that is missing now may be there at the next sync

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        del path
        raise ArtifactUnreadable(self._reason)

    def read(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        del path, max_bytes
        raise ArtifactUnreadable(self._reason)


def _dialect(place: ObjectPlace) -> Dialect:
    endpoint, bucket = place.network.base_uri.rstrip("/"), bucket_of(place.prefix)
    match read_uri(place.prefix).scheme:
        case "s3":
            return S3(endpoint, bucket, path_style=place.path_style)
        case "gs":
            return Gcs(endpoint, bucket)
        case _:
            return Azure(endpoint, bucket, place.shared_access() if place.shared_access else "")


def _covers(place: Place, uri: str) -> bool:
    # What allowed() says of the tracking server's own store holds for no other one.
    return read_uri(uri).anchor == read_uri(place.prefix).anchor and allowed(uri, [place.prefix])


def _location(uri: str, place: Place) -> Location:
    """Read a URI as the place takes it: only in ``file:`` URIs is ``%20`` a blank; keys and plain paths are literal."""
    return read_uri(uri, unescape=isinstance(place, FolderPlace) and uri.lower().startswith("file:"))
