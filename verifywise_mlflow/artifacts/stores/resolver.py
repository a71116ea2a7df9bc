"""Resolves artifact URIs to the stores that a tenant lets us read directly. Each store is opened when first needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
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
from verifywise_mlflow.common.closeable import Closeable
from verifywise_mlflow.common.store_schemes import AZURE_SCHEMES
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import HttpError


class DirectSource(ArtifactSource, Protocol):
    """An artifact source that reports whether a later attempt may read more."""

    @property
    def has_retryable_failure(self) -> bool:
        """Whether a read failed with an error that may be transient."""


class ArtifactStores(Closeable):
    """A tenant's stores during a sync. Threads may share them."""

    def __init__(
        self,
        stores: Sequence[StoreSettings],
        allowed_locations: Sequence[str] | None = None,
        *,
        file_timeout_seconds: float = 1_800.0,
    ) -> None:
        """Describe the stores; nothing is opened yet.

        Args:
            stores: The stores that may be read directly.
            allowed_locations: URI prefixes to which the stores are restricted; None restricts nothing.
            file_timeout_seconds: The time limit for reading one local file.
        """
        # The longest prefix first: the settings of a folder take precedence over the settings of its bucket.
        self._stores = sorted(stores, key=lambda store: -len(parse_uri(store.prefix).segments))
        self._allowed = allowed_locations
        self._file_timeout_seconds = file_timeout_seconds
        self._clients: dict[str, StoreClient] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._buckets.clear()

    @property
    def requests(self) -> int:
        """Requests sent so far, to all stores."""
        return sum(client.requests for client in self._clients.values())

    def prefix_of(self, uri: str) -> str | None:
        """Return the prefix of the store that covers the URI, or None."""
        store = self._store_for(uri)
        return store.prefix if store else None

    def prefers_direct(self, uri: str) -> bool:
        """Return whether files at the URI are read directly even if the tracking server serves them."""
        store = self._store_for(uri)
        return store is not None and store.prefers_direct

    def open_root(self, uri: str) -> DirectSource | None:
        """Return the folder at the URI: the artifacts of a run or logged model. None if no store covers the URI."""
        store = self._store_for(uri)
        return self._open(store, uri, "") if store else None

    def open_model(self, uri: str) -> tuple[DirectSource, str] | None:
        """Return a root, and the path from it to a model's folder, or to the single file that is the model.

        The root is the parent folder if the same store covers it, since a file has a name only within its folder.
        """
        store = self._store_for(uri)
        if store is None:
            return None
        parent, _, name = uri.rstrip("/").rpartition("/")
        if isinstance(store, MlflowProxySettings) or self._store_for(parent) is not store:
            return self._open(store, uri, ""), ""
        return self._open(store, parent, name), _location(uri, store).segments[-1]

    def _store_for(self, uri: str) -> StoreSettings | None:
        if not is_unambiguous(uri) or not is_allowed_location(uri, self._allowed):
            return None
        return next((store for store in self._stores if _covers(store, uri)), None)

    def _open(self, store: StoreSettings, root: str, model_path: str) -> DirectSource:
        try:
            match store:
                case LocalFolderSettings():
                    below = _location(root, store).relative_to(_location(store.prefix, store))
                    assert below is not None
                    return LocalFolderSource(store.root, below, timeout_seconds=self._file_timeout_seconds)
                case MlflowProxySettings():
                    return MlflowProxySource(self._client(store, {}), root)
                case ObjectStoreSettings():
                    key = "/".join(_location(root, store).segments)
                    return BucketSource(self._bucket(store, root), key, model_path)
        except HttpError as error:
            return _UnavailableSource(f"the store {store.prefix} cannot be opened: {error}")

    def _bucket(self, store: ObjectStoreSettings, root: str) -> Bucket:
        # Names outside allowed_locations are not even listed.
        prefixes = [store.prefix, *(prefix for prefix in self._allowed or () if is_allowed_location(root, [prefix]))]
        scope = max(("/".join(_location(prefix, store).segments) for prefix in prefixes), key=len)
        api = _store_api(store)
        client = self._client(store, api.headers)
        with self._lock:
            bucket = self._buckets.get((store.prefix, scope))
            if bucket is None:
                bucket = self._buckets[store.prefix, scope] = Bucket(client, api, f"{scope}/" if scope else "")
        return bucket

    def _client(self, store: ObjectStoreSettings | MlflowProxySettings, headers: Mapping[str, str]) -> StoreClient:
        with self._lock:
            if store.prefix not in self._clients:
                self._clients[store.prefix] = StoreClient(store.network, headers)
            return self._clients[store.prefix]


class _UnavailableSource:
    """Replaces a store whose settings cannot be used: every read fails with the reason."""

    has_retryable_failure = True  # a missing secret may exist at the next sync

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        del path
        raise ArtifactReadError(self._reason)

    def read(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        del path, max_bytes
        raise ArtifactReadError(self._reason)


def _store_api(store: ObjectStoreSettings) -> StoreApi:
    endpoint, bucket = store.network.base_uri.rstrip("/"), bucket_name(store.prefix)
    match parse_uri(store.prefix).scheme:
        case "s3":
            return S3Api(endpoint, bucket, path_style=store.path_style)
        case "gs":
            return GcsApi(endpoint, bucket)
        case scheme if scheme in AZURE_SCHEMES:
            return AzureApi(endpoint, bucket, store.sas_query() if store.sas_query else "")
        case scheme:
            raise ValueError(f"the store {store.prefix} has the scheme {scheme!r}: _store_api() has no API for it")


def _covers(store: StoreSettings, uri: str) -> bool:
    # is_allowed_location() always accepts the tracking server's own store, so the anchors are compared, too.
    return parse_uri(uri).anchor == parse_uri(store.prefix).anchor and is_allowed_location(uri, [store.prefix])


def _location(uri: str, store: StoreSettings) -> Location:
    """Parse a URI for the store: only ``file:`` URIs are percent-decoded; keys and plain paths are literal."""
    return parse_uri(uri, unescape=isinstance(store, LocalFolderSettings) and uri.lower().startswith("file:"))
