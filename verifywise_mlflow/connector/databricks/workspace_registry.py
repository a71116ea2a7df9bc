"""The registry of one Databricks workspace: MLflow's endpoints, with Databricks' own page sizes and sort columns.

After docs.databricks.com/api/model-registry. It has stages and tags, but no aliases and no prompts. The listings
include tags, so no further requests are needed.
"""

from __future__ import annotations

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, MlflowEndpoint
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import ListingPages, PagedListing, listing_pages
from verifywise_mlflow.connector.registry_search import QueryParams, page_token_param, version_key
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.settings import Limits

MODELS_PAGE_SIZE = 1_000  # the documented maximum
VERSIONS_PAGE_SIZE = 10_000  # likewise


class WorkspaceRegistry:
    """Reads a workspace's registry."""

    def __init__(self, client: RestClient, limits: Limits) -> None:
        self._client = client
        self._limits = limits

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """List every registered model that the account may read."""

        def fetch_page(token: str | None, max_rows: int) -> dict[str, object]:
            params: QueryParams = (("max_results", max_rows), ("order_by", "name ASC"))
            return self._client.get_json(MlflowEndpoint.SEARCH_MODELS, params + page_token_param(token))

        return listing_pages(
            PagedListing(
                fetch_page,
                "registered_models",
                parsing.registered_model,
                lambda model: model.name,
                MODELS_PAGE_SIZE,
                MODELS_PAGE_SIZE,
            ),
            self._limits,
        )

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """List every version of these models, in any status."""

        def fetch_page(token: str | None, max_rows: int) -> dict[str, object]:
            # The column is called version here, and version_number on MLflow's own server.
            order: QueryParams = (("order_by", "name ASC"), ("order_by", "version ASC"))
            params: QueryParams = (("max_results", max_rows), *order, *page_token_param(token))
            return self._client.get_json(MlflowEndpoint.SEARCH_VERSIONS, params)

        return listing_pages(
            PagedListing(
                fetch_page,
                "model_versions",
                parsing.model_version,
                version_key,
                VERSIONS_PAGE_SIZE,
                VERSIONS_PAGE_SIZE,
            ),
            self._limits,
        )

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""
        response = self._client.get_json(DatabricksEndpoint.GET_WORKSPACE_MODEL, {"name": name})
        return parsing.registered_model(response.get("registered_model_databricks"))

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        response = self._client.get_json(MlflowEndpoint.GET_VERSION, {"name": name, "version": number})
        return parsing.model_version(response.get("model_version"))
