"""The registry's two searches, each read page by page to its end."""

from __future__ import annotations

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import ReadCall
from verifywise_mlflow.connector.hidden_models import ListedModel, listed_model
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.pagination import Listing, Pages, read_listing
from verifywise_mlflow.http.client import Transport
from verifywise_mlflow.http.settings import Bounds

Question = tuple[tuple[str, str | int], ...]
"""A GET call's parameters, in order; ``order_by`` may come more than once."""

MODELS_A_PAGE = 1_000  # the server's maximum
VERSIONS_A_PAGE = 10_000  # what MLflow's own client asks for; the server would allow 200,000


def search_models(transport: Transport, bounds: Bounds, narrowed: Question = ()) -> Listing[ListedModel]:
    """Read the search for models to its end: one request for a thousand of them."""

    def ask(token: str | None) -> dict[str, object]:
        question: Question = (("max_results", MODELS_A_PAGE), ("order_by", "name ASC"), *narrowed)
        return transport.get_json(ReadCall.SEARCH_MODELS, question + _from(token))

    return read_listing(Pages(ask, "registered_models", listed_model, lambda listed: listed.model.name), bounds)


def search_versions(transport: Transport, bounds: Bounds, narrowed: Question = ()) -> Listing[ModelVersion]:
    """Read the search for versions to its end: one request for ten thousand of them. It shows no aliases."""

    def ask(token: str | None) -> dict[str, object]:
        # Pages after the first begin one row early: see listing.py.
        rows = VERSIONS_A_PAGE + 1 if token else VERSIONS_A_PAGE
        order: Question = (("order_by", "name ASC"), ("order_by", "version_number ASC"))
        question = (("max_results", rows), *order, *narrowed, *_from(token))
        return transport.get_json(ReadCall.SEARCH_VERSIONS, question)

    return read_listing(Pages(ask, "model_versions", parsing.model_version, version_key), bounds)


def version_key(version: ModelVersion) -> tuple[str, int]:
    """Return what tells a version from all others of its server."""
    return version.model_name, version.version_number


def _from(token: str | None) -> Question:
    return (("page_token", token),) if token else ()
