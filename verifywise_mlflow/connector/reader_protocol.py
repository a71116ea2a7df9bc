"""The interface of all readers, so that callers need not know whether the server is MLflow or Databricks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from verifywise_mlflow.connector.mlflow_reader import ServerInfo
from verifywise_mlflow.connector.models import (
    EvaluationDataset,
    Experiment,
    LoggedModel,
    ModelVersion,
    Prompt,
    PromptVersion,
    RegisteredModel,
    RemoteFile,
    TraceAssessments,
    TraceCounts,
    TrainingRun,
)
from verifywise_mlflow.connector.pagination import Listing, ListingPages
from verifywise_mlflow.http.client import Traffic


class Reader(Protocol):
    """Reads one server: what it reports about itself, registry listings, tracking objects, artifacts."""

    @property
    def server(self) -> ServerInfo:
        """What the server reports about itself."""

    @property
    def traffic(self) -> Traffic:
        """The load that this connection has put on the server so far."""

    def close(self) -> None:
        """Close the connection."""

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """List every registered model, by its name."""

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """List every version, in any status, by its model's name and its number."""

    def prompts(self) -> Listing[Prompt] | None:
        """List every prompt of the registry; None if prompts cannot be read from this kind of server."""

    def prompt_versions(self) -> Listing[PromptVersion]:
        """List every version of a prompt."""

    def prompt(self, name: str) -> Prompt:
        """Read one prompt by its name."""

    def prompt_version(self, name: str, number: int) -> PromptVersion:
        """Read one version of a prompt by the prompt's name and its number."""

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""

    def version_location(self, name: str, number: int) -> str | None:
        """Return the location of a version's files, if the server states it."""

    def experiments(self) -> Listing[Experiment]:
        """List every experiment that the account may see."""

    def experiment(self, experiment_id: str) -> Experiment:
        """Read one experiment by its id."""

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:
        """Read several runs of the given experiments."""

    def run(self, run_id: str) -> TrainingRun:
        """Read one run by its id, in any experiment."""

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:
        """Read several logged models of the given experiments."""

    def logged_model(self, model_id: str) -> LoggedModel:
        """Read one logged model by its id, in any experiment."""

    def agents(self, experiment_ids: Sequence[str]) -> Listing[LoggedModel] | None:
        """List the logged models of the type agent in some experiments; None if this server's agents cannot be read."""

    def evaluation_datasets(self, experiment_ids: Sequence[str]) -> Listing[EvaluationDataset]:
        """List the evaluation data sets of some experiments, without their records."""

    def newest_evaluation_datasets(self, experiment_ids: Sequence[str]) -> list[EvaluationDataset]:
        """Return the evaluation data sets of some experiments that changed last."""

    def trace_assessments(self, experiment_ids: Sequence[str]) -> TraceAssessments:
        """Count the assessments of the logged models' traces in some experiments; no trace is kept."""

    def trace_counts(self, experiment_ids: Sequence[str]) -> TraceCounts:
        """Count the traces of some experiments and their assessments; no trace is read."""

    def run_artifacts(self, run_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a run's artifacts."""

    def logged_model_artifacts(self, model_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a logged model's artifacts."""

    def served_artifacts(self, path: str) -> list[RemoteFile]:
        """List one directory of the server's own artifact store."""

    def served_artifact(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of the server's own artifact store."""

    def run_artifact(self, run_id: str, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a run's artifacts."""

    def logged_model_artifact(
        self, model_id: str, path: str, max_bytes: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a logged model's artifacts."""
