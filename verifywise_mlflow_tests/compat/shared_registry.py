"""The registry of a shared server, filled with the current MLflow client."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow.entities import Dataset
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import RestException

from verifywise_mlflow_tests.support.registry import Registry

MODEL_NAMES = [
    "it's",
    'say "model"',
    'it\'s "both"',
    "100% sure",
    "back\\slash",
    "tabs\tand\nlines",
    " leading blank",
    "Überprüfung 信用 🦊",
    "a?b#c&d=e;f",
    "x" * 250,
]
"""Names that strain quoting, trimming and encoding."""
CUSTOMERS = Dataset(name="customers", digest="abc123", source_type="s3", source='{"uri": "s3://data/customers"}')


class SharedRegistry(Registry):
    """A registry that can also be filled on MLflow 2.9."""

    def version(
        self,
        model: str,
        *,
        run_id: str | None = None,
        source: str = "s3://elsewhere/model",
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Register a version, and its model if it does not exist."""
        # Not by search: the current client adds a filter on prompts, with which MLflow 2.9 returns no model at all.
        try:
            self.client.create_registered_model(model)
        except RestException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.client.create_model_version(
            model,
            source,
            run_id=run_id,
            tags=dict(tags or {}),
            description=description,
            await_creation_for=0,
            model_id=model_id,
        )
