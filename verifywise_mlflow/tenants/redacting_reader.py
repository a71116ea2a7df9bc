"""A reader that redacts the texts that the tenant's settings deny, before anything is stored.

It wraps the connection, so denied texts never get into a row, a fingerprint, the audit trail or a log. Names and paths
that are keys pass unchanged, and so do counts and the bytes of artifacts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TypeVar

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
from verifywise_mlflow.connector.pagination import Listed, Listing, ListingPages
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.client import Traffic
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor
from verifywise_mlflow.redaction.errors import redacted_errors
from verifywise_mlflow.redaction.settings import RedactionSettings

E = TypeVar(
    "E",
    RegisteredModel,
    ModelVersion,
    Prompt,
    PromptVersion,
    Experiment,
    TrainingRun,
    LoggedModel,
    EvaluationDataset,
)
K = TypeVar("K", bound=Hashable)


class RedactingReader:
    """Applies a tenant's redaction settings to the texts that a reader returns, and to the errors that it raises.

    The methods raise the same errors as the methods of the reader.
    """

    def __init__(self, open_reader: Callable[[], Reader], settings: RedactionSettings) -> None:
        """Open the connection. The error of a refused connection may quote a secret, so it is redacted, too."""
        self._redactor = EntityRedactor(settings)
        with redacted_errors(self._redactor):
            self._reader = open_reader()

    @cached_property
    def server(self) -> ServerInfo:
        """What the server reports about itself. Each entry of the audit trail names the server's version."""
        return self._redactor.redact(self._reader.server)

    @property
    def traffic(self) -> Traffic:
        """The requests and bytes of this connection so far."""
        return self._reader.traffic

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """List every registered model, by its name."""
        return self._redacted_pages(self._reader.registered_models())

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """List every version, in any status, by its model's name and its number."""
        return self._redacted_pages(self._reader.model_versions())

    def prompts(self) -> Listing[Prompt] | None:
        """List every prompt of the registry; None if prompts cannot be read from this kind of server."""
        with redacted_errors(self._redactor):
            listing = self._reader.prompts()
        return None if listing is None else self._read_listing(lambda: listing)

    def prompt_versions(self) -> Listing[PromptVersion]:
        """List every version of a prompt."""
        return self._read_listing(self._reader.prompt_versions)

    def prompt(self, name: str) -> Prompt:
        """Read one prompt by its name."""
        with redacted_errors(self._redactor):
            return self._redactor.redact(self._reader.prompt(name))

    def prompt_version(self, name: str, number: int) -> PromptVersion:
        """Read one version of a prompt by the prompt's name and its number."""
        with redacted_errors(self._redactor):
            return self._redactor.redact(self._reader.prompt_version(name, number))

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""
        with redacted_errors(self._redactor):
            return self._redactor.redact(self._reader.registered_model(name))

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        with redacted_errors(self._redactor):
            return self._redactor.redact(self._reader.model_version(name, number))

    def version_location(self, name: str, number: int) -> str | None:
        """Return the location of a version's files, redacted in the same way as the source of a version."""
        with redacted_errors(self._redactor):
            location = self._reader.version_location(name, number)
        return self._redactor.redact(ModelVersion(name, number, source=location)).source

    def experiments(self) -> Listing[Experiment]:
        """List every experiment that the account can read."""
        return self._read_listing(self._reader.experiments)

    def experiment(self, experiment_id: str) -> Experiment:
        """Read one experiment by its ID."""
        with redacted_errors(self._redactor):
            return self._redactor.redact(self._reader.experiment(experiment_id))

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:
        """Read several runs of the given experiments."""
        return self._read_listing(lambda: self._reader.runs(run_ids, experiment_ids))

    def run(self, run_id: str) -> TrainingRun:
        """Read one run by its ID, in any experiment."""
        with redacted_errors(self._redactor):
            return self._redactor.redact(self._reader.run(run_id))

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:
        """Read several logged models of the given experiments."""
        return self._read_listing(lambda: self._reader.logged_models(model_ids, experiment_ids))

    def logged_model(self, model_id: str) -> LoggedModel:
        """Read one logged model by its ID, in any experiment."""
        with redacted_errors(self._redactor):
            return self._redactor.redact(self._reader.logged_model(model_id))

    def agents(self, experiment_ids: Sequence[str]) -> Listing[LoggedModel] | None:
        """List the logged models of the type agent in some experiments; None if the server has no logged models."""
        with redacted_errors(self._redactor):
            listing = self._reader.agents(experiment_ids)
        return None if listing is None else self._read_listing(lambda: listing)

    def evaluation_datasets(self, experiment_ids: Sequence[str]) -> Listing[EvaluationDataset]:
        """List the evaluation data sets of some experiments, without their records."""
        return self._read_listing(lambda: self._reader.evaluation_datasets(experiment_ids))

    def newest_evaluation_datasets(self, experiment_ids: Sequence[str]) -> list[EvaluationDataset]:
        """Return the evaluation data sets of some experiments that changed last."""
        with redacted_errors(self._redactor):
            return [self._redactor.redact(row) for row in self._reader.newest_evaluation_datasets(experiment_ids)]

    def trace_assessments(self, experiment_ids: Sequence[str]) -> TraceAssessments:
        """Count the assessments of the logged models' traces in some experiments; no trace is kept."""
        with redacted_errors(self._redactor):
            return self._redactor.redact(self._reader.trace_assessments(experiment_ids))

    def trace_counts(self, experiment_ids: Sequence[str]) -> TraceCounts:
        """Count the traces of some experiments and their assessments; no trace is read."""
        with redacted_errors(self._redactor):
            return self._reader.trace_counts(experiment_ids)

    # -- artifacts: file names are keys, and bytes are only hashed

    def run_artifacts(self, run_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a run's artifacts."""
        with redacted_errors(self._redactor):
            return self._reader.run_artifacts(run_id, path)

    def logged_model_artifacts(self, model_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a logged model's artifacts."""
        with redacted_errors(self._redactor):
            return self._reader.logged_model_artifacts(model_id, path)

    def served_artifacts(self, path: str) -> list[RemoteFile]:
        """List one directory of the server's own artifact store."""
        with redacted_errors(self._redactor):
            return self._reader.served_artifacts(path)

    @contextmanager
    def served_artifact(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream one file of the server's own artifact store."""
        with self._redact_stream_errors(self._reader.served_artifact(path, max_bytes)) as chunks:
            yield chunks

    @contextmanager
    def run_artifact(self, run_id: str, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream one file of a run's artifacts."""
        with self._redact_stream_errors(self._reader.run_artifact(run_id, path, max_bytes)) as chunks:
            yield chunks

    @contextmanager
    def logged_model_artifact(self, model_id: str, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream one file of a logged model's artifacts."""
        with self._redact_stream_errors(self._reader.logged_model_artifact(model_id, path, max_bytes)) as chunks:
            yield chunks

    def _read_listing(self, read: Callable[[], Listing[E]]) -> Listing[E]:
        with redacted_errors(self._redactor):
            listing = read()
        return Listing(tuple(map(self._redactor.redact, listing.rows)), listing.problems.map(self._redactor.message))

    def _redacted_pages(self, pages: ListingPages[E, K]) -> ListingPages[E, K]:
        def read_pages(listed: Listed[K]) -> Iterator[Sequence[E]]:
            read: Listed[K] = Listed()
            with redacted_errors(self._redactor):
                for page in pages.read_pages(read):
                    yield list(map(self._redactor.redact, page))
            listed.keys.update(read.keys)  # no key is redacted
            listed.problems.merge(read.problems.map(self._redactor.message))

        return ListingPages(read_pages, pages.identify)

    @contextmanager
    def _redact_stream_errors(self, opened: AbstractContextManager[Iterator[bytes]]) -> Iterator[Iterator[bytes]]:
        with redacted_errors(self._redactor), opened as chunks:
            yield chunks
