"""What kind of server a tenant has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from verifywise_mlflow.connector.databricks.reader import RegistryKind


class _Server(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class MlflowServer(_Server):
    """MLflow's own server, from 2.9 on, or one that answers like it, such as SageMaker's."""

    kind: Literal["mlflow"] = "mlflow"


class DatabricksServer(_Server):
    """A Databricks workspace."""

    kind: Literal["databricks"]
    registry: RegistryKind = "unity_catalog"
    """Which of its two registries is read."""
    catalogs: tuple[str, ...] = ()
    """For ``unity_catalog``: those that are read; all that the account may see if none is named."""

    @model_validator(mode="after")
    def _catalogs_are_of_unity_catalog(self) -> DatabricksServer:
        if self.catalogs and self.registry != "unity_catalog":
            raise ValueError("catalogs goes with registry: unity_catalog")
        return self


Server = Annotated[MlflowServer | DatabricksServer, Field(discriminator="kind")]
