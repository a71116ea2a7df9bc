"""What both registries of Databricks have in common."""

from __future__ import annotations

from typing import Protocol

from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import Listing

QueryParams = tuple[tuple[str, str | int], ...]
"""A GET call's parameters, in order; ``order_by`` may come more than once."""


class Registry(Protocol):
    """Where models and their versions are kept."""

    def registered_models(self) -> Listing[RegisteredModel]:
        """List every registered model that the account may read."""

    def model_versions(self) -> Listing[ModelVersion]:
        """List every version of these models, in any status."""

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""


def page_token_param(token: str | None) -> QueryParams:
    """Return the parameter that asks for a page; none for the first one."""
    return (("page_token", token),) if token else ()


def version_key(version: ModelVersion) -> tuple[str, int]:
    """Return what tells one version from another."""
    return version.model_name, version.version_number
