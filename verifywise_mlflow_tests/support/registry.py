"""Fills a real MLflow registry through MLflow's own client, in the few words that the tests need."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
)
from mlflow.entities.model_registry import ModelVersion

MODEL_FILES: Mapping[str, bytes] = {
    "MLmodel": b"artifact_path: model\nflavors:\n  sklearn:\n    pickled_model: model.pkl\n    sklearn_version: 1.9.1\n"
    b"    serialization_format: cloudpickle\nmlflow_version: 3.17.2\n",
    "model.pkl": b"\x80\x05 no pickle: nobody may load it",
    "python_env.yaml": b"python: 3.11.7\nbuild_dependencies:\n- pip==24.0\ndependencies:\n- -r requirements.txt\n",
    "requirements.txt": b"mlflow==3.17.2\nscikit-learn==1.9.1\n",
}
"""A model's folder as MLflow's scikit-learn flavor leaves it."""


@dataclass(frozen=True, slots=True)
class Registry:
    """One workspace of a real MLflow server."""

    client: MlflowClient
    scratch: Path

    def run(
        self,
        *,
        experiment: str = "churn",
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
        datasets: Sequence[Dataset] = (),
        end: bool = True,
    ) -> str:
        """Log a run as a training script would; return its ID."""
        existing = self.client.get_experiment_by_name(experiment)
        experiment_id = existing.experiment_id if existing else self.client.create_experiment(experiment)
        run_id: str = self.client.create_run(experiment_id).info.run_id
        self.client.log_batch(
            run_id,
            metrics=[Metric(key, value, 1_700_000_000_000, 0) for key, value in (metrics or {}).items()],
            params=[Param(key, value) for key, value in (params or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )
        if datasets:
            context = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run_id, [DatasetInput(dataset, context) for dataset in datasets])
        for path, content in (files or {}).items():
            local = self.scratch / run_id / path
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(content)
        if files:
            self.client.log_artifacts(run_id, str(self.scratch / run_id))
        if end:
            self.client.set_terminated(run_id)
        return run_id

    def version(
        self,
        model: str,
        *,
        run_id: str | None = None,
        source: str = "s3://elsewhere/model",
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> ModelVersion:
        """Register a version, and its model if need be."""
        if model not in {existing.name for existing in self.client.search_registered_models()}:
            self.client.create_registered_model(model)
        return self.client.create_model_version(
            model, source, run_id=run_id, tags=dict(tags or {}), description=description, await_creation_for=0
        )

    def trained_version(self, model: str) -> ModelVersion:
        """Register a version as MLflow 2 did: its files lie in the run that made it."""
        files = {f"model/{name}": content for name, content in MODEL_FILES.items()}
        run_id = self.run(files=files, metrics={"accuracy": 0.93})
        artifact_uri = self.client.get_run(run_id).info.artifact_uri
        return self.version(model, run_id=run_id, source=f"{artifact_uri}/model")

    def logged_model(
        self, run_id: str, *, params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> str:
        """Log a model separately from its run, as MLflow 3 does; return its id."""
        folder = self.scratch / f"logged by {run_id}"
        folder.mkdir()
        for name, content in MODEL_FILES.items():
            (folder / name).write_bytes(content)
        model = self.client.create_logged_model(
            self.client.get_run(run_id).info.experiment_id,
            name="model",
            source_run_id=run_id,
            tags=dict(tags or {}),
            params=dict(params or {}),
            model_type="classifier",
        )
        self.client.log_model_artifacts(model.model_id, str(folder))
        self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        return str(model.model_id)


def create_workspace(mlflow_uri: str, environment: pytest.MonkeyPatch) -> str:
    """Create a workspace and point MLflow's own client to it, which reads its server and workspace from variables."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    environment.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    environment.setenv("MLFLOW_WORKSPACE", name)
    MlflowClient(mlflow_uri).create_workspace(name)
    return name
