"""Fills a real MLflow registry through MLflow's own client, with the few operations that the tests need.

Many tests spend half of their time here, so this module avoids requests: it remembers what it created, and writes files
into the folder of the server's artifacts instead of uploading them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    RunInfo,
    RunTag,
)
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

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
    """A folder for the test's own files."""
    artifacts: Path | None = None
    """The server's artifact folder. Without it, files are uploaded."""
    _experiments: dict[str, str] = field(default_factory=dict)
    _models: set[str] = field(default_factory=set)
    _runs: dict[str, RunInfo] = field(default_factory=dict)

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
        info = self.client.create_run(self._experiment(experiment)).info
        run_id: str = info.run_id
        self._runs[run_id] = info
        if metrics or params or tags:
            self.client.log_batch(
                run_id,
                metrics=[Metric(key, value, 1_700_000_000_000, 0) for key, value in (metrics or {}).items()],
                params=[Param(key, value) for key, value in (params or {}).items()],
                tags=[RunTag(key, value) for key, value in (tags or {}).items()],
            )
        if datasets:
            context = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run_id, [DatasetInput(dataset, context) for dataset in datasets])
        if files and self.artifacts:
            self.write(info.artifact_uri, files)
        elif files:
            self.client.log_artifacts(run_id, self._folder(run_id, files))
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
        """Register a version, and its model if the model does not exist."""

        def register() -> ModelVersion:
            return self.client.create_model_version(
                model, source, run_id=run_id, tags=dict(tags or {}), description=description, await_creation_for=0
            )

        if model in self._models:
            with unless("RESOURCE_DOES_NOT_EXIST"):  # the test deleted or renamed it
                return register()
        with unless("RESOURCE_ALREADY_EXISTS"):  # the test created it
            self.client.create_registered_model(model)
        self._models.add(model)
        return register()

    def trained_version(self, model: str) -> ModelVersion:
        """Register a version as MLflow 2 did: the files of the version are in its training run."""
        files = {f"model/{name}": content for name, content in MODEL_FILES.items()}
        run_id = self.run(files=files, metrics={"accuracy": 0.93})
        return self.version(model, run_id=run_id, source=f"{self._runs[run_id].artifact_uri}/model")

    def logged_model(
        self, run_id: str, *, params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> str:
        """Log a model separately from its run, as MLflow 3 does; return its id."""
        model = self.client.create_logged_model(
            self._runs[run_id].experiment_id,
            name="model",
            source_run_id=run_id,
            tags=dict(tags or {}),
            params=dict(params or {}),
            model_type="classifier",
        )
        if self.artifacts:
            self.write(model.artifact_location, MODEL_FILES)
        else:
            self.client.log_model_artifacts(model.model_id, self._folder(model.model_id, MODEL_FILES))
        self.client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        return str(model.model_id)

    def write(self, artifact_uri: str | None, files: Mapping[str, bytes]) -> None:
        """Write files below an artifact URI of the server."""
        assert self.artifacts is not None
        _write(self.artifacts / str(artifact_uri).removeprefix("mlflow-artifacts:/"), files)

    def _folder(self, name: str, files: Mapping[str, bytes]) -> str:
        _write(self.scratch / name, files)
        return str(self.scratch / name)

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            with unless("RESOURCE_ALREADY_EXISTS"):  # the test created it
                self._experiments[name] = self.client.create_experiment(name)
        if name not in self._experiments:
            experiment = self.client.get_experiment_by_name(name)
            assert experiment is not None
            self._experiments[name] = experiment.experiment_id
        return self._experiments[name]


@contextmanager
def unless(error_code: str) -> Iterator[None]:
    """Suppress MLflow's errors with this code."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != error_code:
            raise


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def create_workspace(mlflow_uri: str, environment: pytest.MonkeyPatch) -> str:
    """Create a workspace and set the environment variables that direct MLflow's own client to it."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    environment.setenv("MLFLOW_TRACKING_URI", mlflow_uri)
    environment.setenv("MLFLOW_WORKSPACE", name)
    MlflowClient(mlflow_uri).create_workspace(name)
    return name
