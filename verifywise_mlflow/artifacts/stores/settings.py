"""Settings of the artifact stores that a tenant lets us read directly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from verifywise_mlflow.artifacts.uris import parse_uri
from verifywise_mlflow.http.settings import ConnectionSettings


@dataclass(frozen=True, slots=True)
class _StoreSettings:
    prefix: str
    """The URI of a folder, as MLflow writes it. The folder may be read with everything below it."""
    prefers_direct: bool
    """Whether files are read directly even if the tracking server also serves them."""


@dataclass(frozen=True, slots=True)
class ObjectStoreSettings(_StoreSettings):
    """A bucket or container, or a folder in it. The prefix's scheme selects the API."""

    network: ConnectionSettings
    """``base_uri`` is the endpoint, with the bucket in its host where ``path_style`` is false."""
    path_style: bool = True
    """S3: whether the bucket is the first part of the path."""
    sas_query: Callable[[], str] | None = field(default=None, repr=False)
    """Azure: returns the query of a shared access signature. Called when the store is opened."""


@dataclass(frozen=True, slots=True)
class MlflowProxySettings(_StoreSettings):
    """Another MLflow server that serves artifacts."""

    network: ConnectionSettings
    """``base_uri`` is the prefix."""


@dataclass(frozen=True, slots=True)
class LocalFolderSettings(_StoreSettings):
    """A local folder, such as a mounted share."""

    root: Path
    """The local path of the prefix."""


StoreSettings: TypeAlias = ObjectStoreSettings | MlflowProxySettings | LocalFolderSettings


def bucket_name(prefix: str) -> str:
    """Return the bucket or container of ``s3://bucket/…``, ``gs://…`` or ``abfss://container@account…``."""
    return parse_uri(prefix).anchor.partition("://")[2].partition("@")[0]
