"""The readers that there are. They have the same methods, so nobody else has to know which one it is."""

from __future__ import annotations

from typing import TypeAlias

from verifywise_mlflow.connector.databricks.reader import DatabricksReader
from verifywise_mlflow.connector.reader import MlflowReader

Reader: TypeAlias = MlflowReader | DatabricksReader
