"""What a glance at a server shows: as few requests as can be, and no probe of what the server is before them.

A glance tells when to look closely. Whether anything was removed, or hides among the prompts, only a reader tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.registry_search import search_models, search_versions
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.settings import ConnectionSettings

T = TypeVar("T")


def newest_version_timestamp(settings: ConnectionSettings) -> int | None:
    """Return the newest ``last_updated_timestamp`` of a server's versions, in milliseconds: one request.

    It moves for a new version, a stage and a description; never for tags, aliases and most deletions. So
    a new value means that something has changed, and the same value means nothing.
    """

    def ask(transport: RestClient) -> int | None:
        question: dict[str, str | int] = {"max_results": 1, "order_by": "last_updated_timestamp DESC"}
        rows = parsing.Row(transport.probe(MlflowEndpoint.SEARCH_VERSIONS, question)).rows("model_versions")
        return rows[0].integer("last_updated_timestamp") if rows else None

    return _glance(settings, ask)


@dataclass(frozen=True, slots=True)
class RegistryListings:
    """What a server's two searches show. Neither shows prompts, nor what hides among them."""

    models: Listing[RegisteredModel]
    versions: Listing[ModelVersion]


def list_registry(settings: ConnectionSettings) -> RegistryListings:
    """Read both searches: ``ceil(models / 1,000) + ceil(versions / 10,000)`` requests, and one for an empty search."""

    def ask(transport: RestClient) -> RegistryListings:
        models = search_models(transport, settings.limits)
        versions = search_versions(transport, settings.limits)
        return RegistryListings(Listing(tuple(row.model for row in models.rows), models.problems), versions)

    return _glance(settings, ask)


def _glance(settings: ConnectionSettings, ask: Callable[[RestClient], T]) -> T:
    transport = RestClient(settings)
    try:
        try:
            return ask(transport)
        except EndpointNotFoundError:
            if not urlsplit(settings.base_uri).path.strip("/"):
                raise
            # Before 3.17, ``--static-prefix`` leaves the API where it was; a reader finds that out by its probe.
            transport.use_ajax_paths()
            return ask(transport)
    finally:
        transport.close()
