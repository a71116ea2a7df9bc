"""The interface of Databricks' two registries."""

from __future__ import annotations

from typing import Protocol

from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import ListingPages


class Registry(Protocol):
    """A registry of models and their versions."""

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """List every registered model that the account may read."""

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """List every version of these models, in any status."""

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
