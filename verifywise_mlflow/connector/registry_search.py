"""The registry's two searches, each read page by page to its end."""

from __future__ import annotations

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.hidden_models import ListedModel, parse_listed_model
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.pagination import Listing, PagedListing, read_listing
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.settings import Limits

QueryParams = tuple[tuple[str, str | int], ...]
"""A GET call's parameters, in order; ``order_by`` may come more than once."""

MODELS_PAGE_SIZE = 1_000  # the server's maximum
VERSIONS_PAGE_SIZE = 10_000  # what MLflow's own client asks for; the server would allow 200,000


def search_models(transport: RestClient, bounds: Limits, narrowed: QueryParams = ()) -> Listing[ListedModel]:
    """Read the search for models to its end: one request for a thousand of them."""

    def ask(token: str | None) -> dict[str, object]:
        question: QueryParams = (("max_results", MODELS_PAGE_SIZE), ("order_by", "name ASC"), *narrowed)
        return transport.get_json(MlflowEndpoint.SEARCH_MODELS, question + _from(token))

    return read_listing(
        PagedListing(ask, "registered_models", parse_listed_model, lambda listed: listed.model.name), bounds
    )


def search_versions(transport: RestClient, bounds: Limits, narrowed: QueryParams = ()) -> Listing[ModelVersion]:
    """Read the search for versions to its end: one request for ten thousand of them. It shows no aliases."""

    def ask(token: str | None) -> dict[str, object]:
        # Pages after the first begin one row early: see listing.py.
        rows = VERSIONS_PAGE_SIZE + 1 if token else VERSIONS_PAGE_SIZE
        order: QueryParams = (("order_by", "name ASC"), ("order_by", "version_number ASC"))
        question = (("max_results", rows), *order, *narrowed, *_from(token))
        return transport.get_json(MlflowEndpoint.SEARCH_VERSIONS, question)

    return read_listing(PagedListing(ask, "model_versions", parsing.model_version, version_key), bounds)


def version_key(version: ModelVersion) -> tuple[str, int]:
    """Return what tells a version from all others of its server."""
    return version.model_name, version.version_number


def _from(token: str | None) -> QueryParams:
    return (("page_token", token),) if token else ()
