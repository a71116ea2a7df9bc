"""The tracking API of a server: experiments, runs, logged models, and the artifacts that the server serves.

Open-source MLflow and Databricks share these endpoints; they differ in their registries.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.models import (
    EvaluationDataset,
    Experiment,
    LoggedModel,
    RemoteFile,
    TraceAssessments,
    TraceCounts,
    TrainingRun,
)
from verifywise_mlflow.connector.pagination import MAX_TOKEN_LENGTH, Listing, PagedListing, read_listing
from verifywise_mlflow.connector.response_memory import response_memory
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.connector.trace_assessments import AssessedTrace, assessed_trace, count_assessments
from verifywise_mlflow.http.client import Traffic
from verifywise_mlflow.http.errors import InvalidResponseError
from verifywise_mlflow.http.settings import ConnectionSettings, Limits

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

EXPERIMENTS_PAGE_SIZE = 5_000  # the server's maximum is 50,000
RUNS_PAGE_SIZE = 200  # about 0.5 s of a small server's time; MLflow's filter parser accepts at most 4,996 IDs
LOGGED_MODELS_PAGE_SIZE = 1_000
AGENT_EXPERIMENTS = 1_000
"""The maximum number of experiments in one search for agents: databases limit the values of a statement. The strictest
limit is 2,100."""
EVALUATION_DATASETS_PAGE_SIZE = 50  # the server's maximum
TRACES_PAGE_SIZE = 500  # the server's maximum
MAX_TRACE_PAGES = 4
"""The maximum number of pages of traces that one sync reads."""

# != '' has the effect of IS NOT NULL, which MLflow's filter lacks before 3.17.
_OF_A_MODEL = "metadata.`mlflow.modelId` != ''"
_OF_A_RUN = "metadata.`mlflow.sourceRun` != ''"
AGENT = "agent"
"""The type that MLflow's documentation states for the logged model of an agent."""


class TrackingReader:
    """A connection to one server on behalf of one tenant, without the registry."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._limits: Limits = settings.limits
        self._client = RestClient(settings)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    @property
    def traffic(self) -> Traffic:
        """The load that this connection has put on the server so far."""
        return self._client.traffic

    def experiments(self) -> Listing[Experiment]:
        """List every experiment that the account may see, including deleted experiments."""
        # In this order, only a permanent deletion moves rows; the server's default order is by time.
        return self._search_experiments("experiment_id ASC", EXPERIMENTS_PAGE_SIZE)

    def _search_experiments(self, order: str, page_size: int) -> Listing[Experiment]:
        return self._search(
            MlflowEndpoint.SEARCH_EXPERIMENTS,
            {"view_type": "ALL", "order_by": [order]},
            "experiments",
            parsing.experiment,
            lambda experiment: experiment.experiment_id,
            page_size=page_size,
            keeps_beginning=True,
        )

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:
        """Read up to ``RUNS_PAGE_SIZE`` runs of the given experiments, including deleted runs."""
        if not experiment_ids or not _quoted(run_ids):
            return Listing(())  # without experiments, MLflow's search always returns nothing
        body = {
            # The IDs are sent as strings: for numbers, MLflow 3.17 returns an empty page.
            "experiment_ids": list(experiment_ids),
            "filter": f"attributes.run_id IN ({_quoted(run_ids)})",
            "run_view_type": "ALL",
        }
        return self._search(
            MlflowEndpoint.SEARCH_RUNS,
            body,
            "runs",
            parsing.training_run,
            lambda run: run.run_id,
            page_size=_single_page_size(run_ids),
            ids=run_ids,
        )

    def run(self, run_id: str) -> TrainingRun:
        """Read one run by its id, in any experiment."""
        return parsing.training_run(self._client.get_json(MlflowEndpoint.GET_RUN, {"run_id": run_id}).get("run"))

    def experiment(self, experiment_id: str) -> Experiment:
        """Read one experiment by its id."""
        response = self._client.get_json(MlflowEndpoint.GET_EXPERIMENT, {"experiment_id": experiment_id})
        return parsing.experiment(response.get("experiment"))

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:
        """Read up to ``LOGGED_MODELS_PAGE_SIZE`` logged models of the given experiments."""
        if not experiment_ids or not _quoted(model_ids):
            return Listing(())
        body = {
            "experiment_ids": list(experiment_ids),
            "filter": f"model_id IN ({_quoted(model_ids)})",
        }
        return self._search(
            MlflowEndpoint.SEARCH_LOGGED_MODELS,
            body,
            "models",
            parsing.logged_model,
            lambda model: model.model_id,
            page_size=_single_page_size(model_ids),
            ids=model_ids,
        )

    def logged_model(self, model_id: str) -> LoggedModel:
        """Read one logged model by its id, in any experiment."""
        response = self._client.get_json(MlflowEndpoint.GET_LOGGED_MODEL, identifier=model_id)
        return parsing.logged_model(response.get("model"))

    # -- generative applications

    def agents(self, experiment_ids: Sequence[str]) -> Listing[LoggedModel] | None:
        """List the logged models of the type agent in up to ``AGENT_EXPERIMENTS`` experiments.

        Returns:
            The agents, including the agents of deleted experiments, which MLflow keeps. None if the server has no
            logged models, as before MLflow 3.
        """
        body = {
            "experiment_ids": list(experiment_ids),
            # ILIKE ignores case, because the type is a text that a client chose.
            "filter": f"model_type ILIKE '{AGENT}'",
            # In this order, only a deletion moves rows.
            "order_by": [{"field_name": "creation_timestamp", "ascending": True}],
        }
        try:
            listing = self._search(
                MlflowEndpoint.SEARCH_LOGGED_MODELS,
                body,
                "models",
                parsing.logged_model,
                lambda model: model.model_id,
                page_size=LOGGED_MODELS_PAGE_SIZE,
                keeps_beginning=True,
                max_token_length=MAX_TOKEN_LENGTH + sum(map(len, experiment_ids)) * 2 + 10 * len(experiment_ids),
            )
        except EndpointNotFoundError:
            return None
        agents = (model for model in listing.rows if (model.model_type or "").casefold() == AGENT)
        return Listing(tuple(agents), listing.problems)

    def evaluation_datasets(self, experiment_ids: Sequence[str]) -> Listing[EvaluationDataset]:
        """List the evaluation data sets of some experiments, without their records."""
        return self._search(
            MlflowEndpoint.SEARCH_EVALUATION_DATASETS,
            {"experiment_ids": list(experiment_ids)},
            "datasets",
            parsing.evaluation_dataset,
            lambda dataset: dataset.dataset_id,
            page_size=EVALUATION_DATASETS_PAGE_SIZE,
            keeps_beginning=True,
        )

    def newest_evaluation_datasets(self, experiment_ids: Sequence[str]) -> list[EvaluationDataset]:
        """Return the evaluation data sets of some experiments that changed last, in one request."""
        body = {
            "experiment_ids": list(experiment_ids),
            "order_by": ["last_update_time DESC"],
            "max_results": EVALUATION_DATASETS_PAGE_SIZE,
        }
        response = self._client.post_json(MlflowEndpoint.SEARCH_EVALUATION_DATASETS, body)
        return parsing.parse_rows(response.get("datasets"), parsing.evaluation_dataset, "datasets")[0]

    def trace_assessments(self, experiment_ids: Sequence[str]) -> TraceAssessments:
        """Count the assessments of the logged models' traces in some experiments, in at most four requests.

        The newest traces are read first. If they fill more than one page, most of them come from the use of an
        application. In this case, the traces that belong to a run are also read, because an evaluation is a run.

        Raises:
            EndpointNotFoundError: the server has no search for traces.
            RequestRejectedError: the server's search does not support the conditions.
        """
        traces, has_more = self._assessed_traces(experiment_ids, (_OF_A_MODEL,), pages=1)
        if has_more:
            traces += self._assessed_traces(experiment_ids, (_OF_A_MODEL, _OF_A_RUN), pages=MAX_TRACE_PAGES - 1)[0]
        return TraceAssessments(count_assessments(traces), is_complete=not has_more)

    def _assessed_traces(
        self, experiment_ids: Sequence[str], conditions: Sequence[str], pages: int
    ) -> tuple[list[AssessedTrace], bool]:
        """Return the newest traces, and whether there are more."""
        locations = [
            {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
            for experiment_id in experiment_ids
        ]
        body = {
            "locations": locations,
            "filter": " AND ".join(conditions),
            "max_results": TRACES_PAGE_SIZE,
            "order_by": ["timestamp_ms DESC"],
        }
        traces: list[AssessedTrace] = []
        token: object = None
        for _ in range(pages):
            with response_memory():
                response = self._client.post_json(
                    MlflowEndpoint.SEARCH_TRACES, {**body, **({"page_token": token} if token else {})}
                )
                rows = parsing.parse_rows(response.get("traces"), assessed_trace, "traces")[0]
                token = response.get("next_page_token")
                del response
            traces += [trace for trace in rows if trace.assessments]
            if token is None or token == "":
                return traces, False
            if not isinstance(token, str):
                break
        return traces, True

    def trace_counts(self, experiment_ids: Sequence[str]) -> TraceCounts:
        """Count the traces of some experiments and their assessments. The server counts, so no trace is read."""

        def count(view: str, metric: str) -> int:
            body = {
                "experiment_ids": list(experiment_ids),
                "view_type": view,
                "metric_name": metric,
                "aggregations": [{"aggregation_type": "COUNT"}],
            }
            return parsing.counted(self._client.post_json(MlflowEndpoint.COUNT_TRACES, body))

        return TraceCounts(count("TRACES", "trace_count"), count("ASSESSMENTS", "assessment_count"))

    # -- artifacts

    def run_artifacts(self, run_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a run's artifacts; paths are relative to the run's artifact root."""
        params = {"run_id": run_id} | ({"path": path} if path else {})
        return self._files(self._client.get_json(MlflowEndpoint.LIST_RUN_ARTIFACTS, params))

    def logged_model_artifacts(self, model_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a logged model's artifacts; paths are relative to its artifact root."""
        params = {"artifact_directory_path": path} if path else {}
        return self._files(
            self._client.get_json(MlflowEndpoint.LIST_LOGGED_MODEL_ARTIFACTS, params, identifier=model_id)
        )

    def served_artifacts(self, path: str) -> list[RemoteFile]:
        """List one directory of the server's own artifact store (``mlflow-artifacts:/``).

        Args:
            path: The directory, relative to the root of that store.

        Returns:
            The entries, with paths relative to the directory.
        """
        return self._files(self._client.get_json(MlflowEndpoint.LIST_SERVED_ARTIFACTS, {"path": path}))

    def served_artifact(self, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of the server's own artifact store."""
        return self._client.stream(MlflowEndpoint.GET_SERVED_ARTIFACT, {}, max_bytes=max_bytes, identifier=path)

    def run_artifact(self, run_id: str, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a run's artifacts."""
        return self._client.stream(
            MlflowEndpoint.GET_RUN_ARTIFACT, {"run_id": run_id, "path": path}, max_bytes=max_bytes
        )

    def logged_model_artifact(
        self, model_id: str, path: str, max_bytes: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a logged model's artifacts."""
        return self._client.stream(
            MlflowEndpoint.GET_LOGGED_MODEL_ARTIFACT,
            {"artifact_file_path": path},
            max_bytes=max_bytes,
            identifier=model_id,
        )

    def _files(self, response: dict[str, object]) -> list[RemoteFile]:
        files, problems = parsing.parse_rows(response.get("files"), parsing.remote_file, "files")
        if problems:
            raise InvalidResponseError("; ".join(problems))
        return files

    def _search(
        self,
        endpoint: MlflowEndpoint,
        body: Mapping[str, object],
        rows_key: str,
        parse: Callable[[object, TextIntake], T],
        identify: Callable[[T], K],
        *,
        page_size: int,
        ids: Sequence[str] = (),
        keeps_beginning: bool = False,
        max_token_length: int = MAX_TOKEN_LENGTH,
    ) -> Listing[T]:
        # Searches for equally many IDs take the server equally long.
        kind = f"{endpoint.name} for {len(ids)}" if ids else ""

        def fetch_page(token: str | None, max_rows: int) -> dict[str, object]:
            paging = {"max_results": max_rows, **({"page_token": token} if token else {})}
            return self._client.post_json(endpoint, {**body, **paging}, kind=kind)

        return read_listing(
            PagedListing(
                fetch_page, rows_key, parse, identify, page_size, page_size, keeps_beginning, max_token_length
            ),
            self._limits,
        )


def _single_page_size(identifiers: Sequence[str]) -> int:
    """Return a page size that is never exactly reached: after a full page, MLflow up to 3.1 sends an empty page."""
    return len(identifiers) + 1


def _quoted(identifiers: Sequence[str]) -> str:
    """Return IDs as a list for a filter. IDs with a quote are left out: no ID of a run or model contains a quote."""
    return ", ".join(f"'{identifier}'" for identifier in identifiers if "'" not in identifier)
