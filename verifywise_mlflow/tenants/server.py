"""The kinds of servers that a tenant may have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from verifywise_mlflow.connector.databricks.reader import RegistryKind
from verifywise_mlflow.tenants.validators import ConfigSection


class MlflowServer(ConfigSection):
    """MLflow's own server, from 2.9 on, or a compatible server, such as SageMaker's."""

    kind: Literal["mlflow"] = "mlflow"


class DatabricksServer(ConfigSection):
    """A Databricks workspace."""

    kind: Literal["databricks"]
    registry: RegistryKind = "unity_catalog"
    """Which of the workspace's two registries to read."""
    catalogs: tuple[str, ...] = ()
    """The catalogs of Unity Catalog to read. Empty: all catalogs that the account can read."""

    @model_validator(mode="after")
    def _has_catalogs_only_with_unity_catalog(self) -> DatabricksServer:
        if self.catalogs and self.registry != "unity_catalog":
            raise ValueError("catalogs is set without registry: unity_catalog: set that registry, or remove catalogs")
        return self


Server = Annotated[MlflowServer | DatabricksServer, Field(discriminator="kind")]
