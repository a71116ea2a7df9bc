"""Change probes: cheap requests that say whether a registry may have changed, without opening a reader first.

A probe says when to sync. Only a full read shows whether something was removed, or is hidden by the prompt tag.
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
from verifywise_mlflow.connector.registry_search import search_model_rows, search_version_rows, version_key
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.settings import ConnectionSettings

K = TypeVar("K")
T = TypeVar("T")


def newest_version_timestamp(settings: ConnectionSettings) -> int | None:
    """Return the newest ``last_updated_timestamp`` of a server's versions, in milliseconds: one request.

    MLflow advances it for a new version, a stage transition and a new description, but not for tags, aliases and most
    deletions. So a new value proves that something changed; the same value does not prove that nothing changed.
    """

    def fetch(client: RestClient) -> int | None:
        params: dict[str, str | int] = {"max_results": 1, "order_by": "last_updated_timestamp DESC"}
        rows = parsing.Row(client.probe(MlflowEndpoint.SEARCH_VERSIONS, params)).rows("model_versions")
        return rows[0].integer("last_updated_timestamp") if rows else None

    return _probe(settings, fetch)


Digest = tuple[K, str | None]
"""The key of an object and its digest; None if a sync would not store the object."""


@dataclass(frozen=True, slots=True)
class RegistryDigests:
    """The results of a server's two registry searches, without prompts and without models hidden by the prompt tag."""

    models: Listing[Digest[str]]
    versions: Listing[Digest[tuple[str, int]]]


def digest_registry(
    settings: ConnectionSettings,
    digest_model: Callable[[RegisteredModel], str | None],
    digest_version: Callable[[ModelVersion], str | None],
) -> RegistryDigests:
    """Run both searches: ``ceil(models / 1,000) + ceil(versions / 10,000)`` requests, and one for an empty search.

    Each row is digested as soon as it is parsed: sixteen registries that are read at once must not be in memory as a
    whole. All models are digested before the first version.
    """

    def parse_model(value: object, _intake: TextIntake) -> Digest[str]:
        model = parsing.registered_model(value)
        return model.name, digest_model(model)

    def parse_version(value: object, _intake: TextIntake) -> Digest[tuple[str, int]]:
        version = parsing.model_version(value)
        return version_key(version), digest_version(version)

    def fetch(client: RestClient) -> RegistryDigests:
        models = search_model_rows(client, settings.limits, parse_model, lambda row: row[0]).read()
        versions = search_version_rows(client, settings.limits, parse_version, lambda row: row[0]).read()
        return RegistryDigests(models, versions)

    return _probe(settings, fetch)


def _probe(settings: ConnectionSettings, fetch: Callable[[RestClient], T]) -> T:
    client = RestClient(settings)
    try:
        try:
            return fetch(client)
        except EndpointNotFoundError:
            if not urlsplit(settings.base_uri).path.strip("/"):
                raise
            # Before 3.17, ``--static-prefix`` does not move the API. A reader detects that when it opens.
            client.use_ajax_paths()
            return fetch(client)
    finally:
        client.close()
