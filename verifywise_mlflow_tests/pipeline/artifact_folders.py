"""The folders with a workspace's artifacts at the session's MLflow server, which tests remove and restore."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from verifywise_mlflow_tests.support.registry import Registry


@dataclass(frozen=True, slots=True)
class ArtifactFolders:
    """The artifact store of one workspace, as folders on disk."""

    registry: Registry
    root: Path
    """The server's whole store. Its other workspaces belong to other tests."""
    workspace: str

    def of_experiment(self, name: str) -> Path:
        """Return the folder of an experiment's artifacts."""
        experiment = self.registry.client.get_experiment_by_name(name)
        assert experiment is not None
        return self.root / "workspaces" / self.workspace / str(experiment.experiment_id)

    def of_version(self, version: ModelVersion) -> Path:
        """Return the folder of a version that was registered from a run or from a logged model's location."""
        return self.root / str(version.source).removeprefix("mlflow-artifacts:/")

    def empty(self, version: ModelVersion) -> None:
        """Remove a version's folder with everything in it."""
        shutil.rmtree(self.of_version(version))

    @contextmanager
    def away(self, folder: Path | None = None) -> Iterator[None]:
        """Remove a folder (by default the workspace's whole store) during the block, as if it were not mounted."""
        folder = folder or self.root / "workspaces" / self.workspace
        hidden = folder.with_name(f"{folder.name}.away")
        folder.rename(hidden)
        try:
            yield
        finally:
            hidden.rename(folder)
