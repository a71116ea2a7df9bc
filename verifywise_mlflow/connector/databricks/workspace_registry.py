"""The registry of one Databricks workspace: MLflow's endpoints, with Databricks' own page sizes and sort columns.

The requests follow docs.databricks.com/api/model-registry. The registry has stages and tags, but no aliases and no
prompts. The listings include tags, so no further requests are needed.
"""

from __future__ import annotations

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, MlflowEndpoint
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import ListingPages
from verifywise_mlflow.connector.registry_search import search_model_rows, search_version_rows, version_key
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.settings import Limits

MAX_VERSIONS_PAGE_SIZE = 10_000  # as documented; the maximum for models is 1,000, as on MLflow's own server


class WorkspaceRegistry:
    """Reads a workspace's registry."""

    def __init__(self, client: RestClient, limits: Limits) -> None:
        self._client = client
        self._limits = limits

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """List every registered model that the account may read."""
        return search_model_rows(self._client, self._limits, parsing.registered_model, lambda model: model.name)

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """List every version of these models, in any status."""
        return search_version_rows(
            self._client,
            self._limits,
            parsing.model_version,
            version_key,
            number_column="version",
            max_page_size=MAX_VERSIONS_PAGE_SIZE,
        )

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""
        response = self._client.get_json(DatabricksEndpoint.GET_WORKSPACE_MODEL, {"name": name})
        return parsing.registered_model(response.get("registered_model_databricks"))

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        response = self._client.get_json(MlflowEndpoint.GET_VERSION, {"name": name, "version": number})
        return parsing.model_version(response.get("model_version"))
