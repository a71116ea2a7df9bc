"""A reader that shows nothing of what the tenant does not want kept.

It stands between the connection and all that writes: what it takes out reaches no row, no fingerprint, no entry of the
trail, no log. Bytes of artifacts pass unchanged; they are hashed, not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from verifywise_mlflow.connector.mlflow_reader import ServerInfo
from verifywise_mlflow.connector.models import (
    Experiment,
    LoggedModel,
    ModelVersion,
    RegisteredModel,
    RemoteFile,
    TrainingRun,
)
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.client import Traffic
from verifywise_mlflow.http.errors import ConnectorError
from verifywise_mlflow.redaction.entity_redactor import Minimiser
from verifywise_mlflow.redaction.settings import Minimisation

T = TypeVar("T")


@contextmanager
def errors_minimised(minimiser: Minimiser) -> Iterator[None]:
    """Take out of an error's sentence, which may quote the server's answer, what must not get into the trail."""
    try:
        yield
    except ConnectorError as error:
        error.args = tuple(minimiser.sentence(str(part)) for part in error.args)
        raise


class MinimisedReader:
    """A reader with the tenant's settings applied to whatever it says, errors included."""

    def __init__(self, open_reader: Callable[[], Reader], settings: Minimisation) -> None:
        """Open a connection: a server may refuse it in words that hold a secret, too."""
        self._minimiser = Minimiser(settings)
        with errors_minimised(self._minimiser):
            self._reader = open_reader()
        self.server: ServerInfo = self._reader.server

    @property
    def traffic(self) -> Traffic:
        """What this connection has cost the server so far."""
        return self._reader.traffic

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()

    def registered_models(self) -> Listing[RegisteredModel]:
        """List every registered model."""
        return self._listed(self._reader.registered_models, self._minimiser.registered_model)

    def model_versions(self) -> Listing[ModelVersion]:
        """List every version, in any status."""
        return self._listed(self._reader.model_versions, self._minimiser.model_version)

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""
        with errors_minimised(self._minimiser):
            return self._minimiser.registered_model(self._reader.registered_model(name))

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        with errors_minimised(self._minimiser):
            return self._minimiser.model_version(self._reader.model_version(name, number))

    def experiments(self) -> Listing[Experiment]:
        """List every experiment that the account may see."""
        return self._listed(self._reader.experiments, self._minimiser.experiment)

    def experiment(self, experiment_id: str) -> Experiment:
        """Read one experiment by its id."""
        with errors_minimised(self._minimiser):
            return self._minimiser.experiment(self._reader.experiment(experiment_id))

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:
        """Read several runs that lie in the given experiments."""
        return self._listed(lambda: self._reader.runs(run_ids, experiment_ids), self._minimiser.training_run)

    def run(self, run_id: str) -> TrainingRun:
        """Read one run by its id, wherever it lies."""
        with errors_minimised(self._minimiser):
            return self._minimiser.training_run(self._reader.run(run_id))

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:
        """Read several logged models that lie in the given experiments."""
        return self._listed(lambda: self._reader.logged_models(model_ids, experiment_ids), self._minimiser.logged_model)

    def logged_model(self, model_id: str) -> LoggedModel:
        """Read one logged model by its id, wherever it lies."""
        with errors_minimised(self._minimiser):
            return self._minimiser.logged_model(self._reader.logged_model(model_id))

    # -- artifacts: names of files are keys, and bytes are hashed

    def run_artifacts(self, run_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a run's artifacts."""
        with errors_minimised(self._minimiser):
            return self._reader.run_artifacts(run_id, path)

    def logged_model_artifacts(self, model_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a logged model's artifacts."""
        with errors_minimised(self._minimiser):
            return self._reader.logged_model_artifacts(model_id, path)

    @contextmanager
    def run_artifact(self, run_id: str, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream one file of a run's artifacts."""
        with self._streamed(self._reader.run_artifact(run_id, path, max_bytes)) as chunks:
            yield chunks

    @contextmanager
    def logged_model_artifact(self, model_id: str, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Stream one file of a logged model's artifacts."""
        with self._streamed(self._reader.logged_model_artifact(model_id, path, max_bytes)) as chunks:
            yield chunks

    def _listed(self, read: Callable[[], Listing[T]], minimised: Callable[[T], T]) -> Listing[T]:
        with errors_minimised(self._minimiser):
            listing = read()
        return Listing(
            tuple(minimised(row) for row in listing.rows),
            tuple(self._minimiser.sentence(problem) for problem in listing.problems),
        )

    @contextmanager
    def _streamed(self, opened: AbstractContextManager[Iterator[bytes]]) -> Iterator[Iterator[bytes]]:
        with errors_minimised(self._minimiser), opened as chunks:
            yield chunks
