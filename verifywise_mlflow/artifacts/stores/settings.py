"""A place that a tenant lets us read directly, as its description says it is to be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from verifywise_mlflow.artifacts.uris import parse_uri
from verifywise_mlflow.http.settings import ConnectionSettings


@dataclass(frozen=True, slots=True)
class _Place:
    prefix: str
    """The URI, as MLflow writes it, of the folder that may be read with all that is below it."""
    prefers_direct: bool
    """Whether files that the tracking server serves, too, are read here instead."""


@dataclass(frozen=True, slots=True)
class ObjectStoreSettings(_Place):
    """A bucket or container, or a folder in it. Which protocol is spoken there, the prefix's scheme says."""

    network: ConnectionSettings
    """``base_uri`` is the endpoint, with the bucket in its host where ``path_style`` is false."""
    path_style: bool = True
    """S3: whether the bucket is the first part of the path."""
    sas_query: Callable[[], str] | None = field(default=None, repr=False)
    """Azure: the query of a shared access signature. Called when the store is opened."""


@dataclass(frozen=True, slots=True)
class MlflowProxySettings(_Place):
    """A web server."""

    network: ConnectionSettings
    """``base_uri`` is the prefix."""


@dataclass(frozen=True, slots=True)
class LocalFolderSettings(_Place):
    """A folder of this machine, such as a mounted share."""

    root: Path
    """Where it lies here."""


StoreSettings: TypeAlias = ObjectStoreSettings | MlflowProxySettings | LocalFolderSettings


def bucket_name(prefix: str) -> str:
    """Return the bucket or container of ``s3://bucket/…``, ``gs://…`` or ``abfss://container@account…``."""
    return parse_uri(prefix).anchor.partition("://")[2].partition("@")[0]
