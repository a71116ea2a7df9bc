"""The registry that belongs to one Databricks workspace: MLflow's calls, with bounds and orders of its own.

After docs.databricks.com/api/model-registry. It has stages and tags, but no aliases, and no prompts. The listings
show tags, so that they alone are enough.
"""

from __future__ import annotations

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.databricks.registry import QueryParams, page_token_param, version_key
from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, MlflowEndpoint
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import Listing, PagedListing, read_listing
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.settings import Limits

MODELS_PAGE_SIZE = 1_000  # the largest that is documented
VERSIONS_PAGE_SIZE = 10_000  # likewise


class WorkspaceRegistry:
    """Reads a workspace's registry."""

    def __init__(self, transport: RestClient, bounds: Limits) -> None:
        self._transport = transport
        self._bounds = bounds

    def registered_models(self) -> Listing[RegisteredModel]:
        """List every registered model that the account may read."""

        def ask(token: str | None) -> dict[str, object]:
            question: QueryParams = (
                ("max_results", MODELS_PAGE_SIZE),
                ("order_by", "name ASC"),
                *page_token_param(token),
            )
            return self._transport.get_json(MlflowEndpoint.SEARCH_MODELS, question)

        return read_listing(
            PagedListing(ask, "registered_models", parsing.registered_model, lambda model: model.name), self._bounds
        )

    def model_versions(self) -> Listing[ModelVersion]:
        """List every version of these models, in any status."""

        def ask(token: str | None) -> dict[str, object]:
            # The column is called version here, and version_number in MLflow's own server.
            order: QueryParams = (("order_by", "name ASC"), ("order_by", "version ASC"))
            question: QueryParams = (("max_results", VERSIONS_PAGE_SIZE), *order, *page_token_param(token))
            return self._transport.get_json(MlflowEndpoint.SEARCH_VERSIONS, question)

        return read_listing(PagedListing(ask, "model_versions", parsing.model_version, version_key), self._bounds)

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""
        answer = self._transport.get_json(DatabricksEndpoint.GET_WORKSPACE_MODEL, {"name": name})
        return parsing.registered_model(answer.get("registered_model_databricks"))

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        answer = self._transport.get_json(MlflowEndpoint.GET_VERSION, {"name": name, "version": number})
        return parsing.model_version(answer.get("model_version"))
