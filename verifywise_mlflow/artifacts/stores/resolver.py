"""The places that a tenant lets us read directly, and which of them covers a URI. Each is opened when first needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from verifywise_mlflow.artifacts.source import ArtifactReadError, ArtifactSource
from verifywise_mlflow.artifacts.stores.azure import AzureApi
from verifywise_mlflow.artifacts.stores.bucket_source import Bucket, BucketSource
from verifywise_mlflow.artifacts.stores.gcs import GcsApi
from verifywise_mlflow.artifacts.stores.http_client import StoreClient
from verifywise_mlflow.artifacts.stores.local_folder import LocalFolderSource
from verifywise_mlflow.artifacts.stores.mlflow_proxy import MlflowProxySource
from verifywise_mlflow.artifacts.stores.protocol import StoreApi
from verifywise_mlflow.artifacts.stores.s3 import S3Api
from verifywise_mlflow.artifacts.stores.settings import (
    LocalFolderSettings,
    MlflowProxySettings,
    ObjectStoreSettings,
    StoreSettings,
    bucket_name,
)
from verifywise_mlflow.artifacts.uris import ArtifactUri as Location
from verifywise_mlflow.artifacts.uris import is_allowed_location, is_unambiguous, parse_uri
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import HttpError


class DirectSource(ArtifactSource, Protocol):
    """A root of files that says whether another try may read more."""

    @property
    def has_retryable_failure(self) -> bool:
        """Whether something could not be read that a later try may read."""


class ArtifactStores:
    """A tenant's places for as long as a sync lasts. Not for use from several threads at once."""

    def __init__(
        self,
        places: Sequence[StoreSettings],
        allowed_locations: Sequence[str] | None = None,
        *,
        file_seconds: float = 1_800.0,
    ) -> None:
        """Describe the places; nothing is opened yet.

        Args:
            places: Where files may be read directly.
            allowed_locations: URI prefixes that narrow them; null narrows nothing.
            file_seconds: How long the reading of one local file may take.
        """
        # The longest prefix first: what is said of a folder goes before what is said of the bucket around it.
        self._places = sorted(places, key=lambda place: -len(parse_uri(place.prefix).segments))
        self._allowed = allowed_locations
        self._file_seconds = file_seconds
        self._connections: dict[str, StoreClient] = {}
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

    def open_root(self, uri: str) -> DirectSource | None:
        """Return the folder at the URI, a run's artifacts or a logged model's; null where no place covers it."""
        place = self._place(uri)
        return self._opened(place, uri, "") if place else None

    def open_model(self, uri: str) -> tuple[DirectSource, str] | None:
        """Return a root and the path below it at which a model's folder lies, or the single file that is the model.

        The root is the folder around it, where that is covered by the same place: only there a file has a name.
        """
        place = self._place(uri)
        if place is None:
            return None
        parent, _, name = uri.rstrip("/").rpartition("/")
        if isinstance(place, MlflowProxySettings) or self._place(parent) is not place:
            return self._opened(place, uri, ""), ""
        return self._opened(place, parent, name), _location(uri, place).segments[-1]

    def _place(self, uri: str) -> StoreSettings | None:
        if not is_unambiguous(uri) or not is_allowed_location(uri, self._allowed):
            return None
        return next((place for place in self._places if _covers(place, uri)), None)

    def _opened(self, place: StoreSettings, root: str, model_path: str) -> DirectSource:
        try:
            match place:
                case LocalFolderSettings():
                    below = _location(root, place).relative_to(_location(place.prefix, place))
                    assert below is not None
                    return LocalFolderSource(place.root, below, seconds=self._file_seconds)
                case MlflowProxySettings():
                    return MlflowProxySource(self._connection(place, {}), root)
                case ObjectStoreSettings():
                    key = "/".join(_location(root, place).segments)
                    return BucketSource(self._bucket(place, root), key, model_path)
        except HttpError as error:
            return UnavailableSource(f"the store {place.prefix} cannot be opened: {error}")

    def _bucket(self, place: ObjectStoreSettings, root: str) -> Bucket:
        # Names outside of allowed_locations are not even listed.
        around = [place.prefix, *(prefix for prefix in self._allowed or () if is_allowed_location(root, [prefix]))]
        scope = max(("/".join(_location(prefix, place).segments) for prefix in around), key=len)
        known = self._buckets.get((place.prefix, scope))
        if known is None:
            dialect = _dialect(place)
            known = Bucket(self._connection(place, dialect.headers), dialect, f"{scope}/" if scope else "")
            self._buckets[place.prefix, scope] = known
        return known

    def _connection(self, place: ObjectStoreSettings | MlflowProxySettings, headers: Mapping[str, str]) -> StoreClient:
        if place.prefix not in self._connections:
            self._connections[place.prefix] = StoreClient(place.network, headers)
        return self._connections[place.prefix]


class UnavailableSource:
    """Stands for a place whose description is of no use: it says so for all that is asked of it."""

    has_retryable_failure = True  # a secret that is missing now may be there at the next sync

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        del path
        raise ArtifactReadError(self._reason)

    def read(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        del path, max_bytes
        raise ArtifactReadError(self._reason)


def _dialect(place: ObjectStoreSettings) -> StoreApi:
    endpoint, bucket = place.network.base_uri.rstrip("/"), bucket_name(place.prefix)
    match parse_uri(place.prefix).scheme:
        case "s3":
            return S3Api(endpoint, bucket, path_style=place.path_style)
        case "gs":
            return GcsApi(endpoint, bucket)
        case _:
            return AzureApi(endpoint, bucket, place.sas_query() if place.sas_query else "")


def _covers(place: StoreSettings, uri: str) -> bool:
    # What allowed() says of the tracking server's own store holds for no other one.
    return parse_uri(uri).anchor == parse_uri(place.prefix).anchor and is_allowed_location(uri, [place.prefix])


def _location(uri: str, place: StoreSettings) -> Location:
    """Read a URI as the place takes it: only in ``file:`` URIs is ``%20`` a blank; keys and plain paths are literal."""
    return parse_uri(uri, unescape=isinstance(place, LocalFolderSettings) and uri.lower().startswith("file:"))
