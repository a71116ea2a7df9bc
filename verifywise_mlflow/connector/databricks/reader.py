"""The reader of a Databricks workspace, with the same interface as ``MlflowReader``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeVar

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.databricks.files_api import files_api_root
from verifywise_mlflow.connector.databricks.registry import Registry
from verifywise_mlflow.connector.databricks.unity_catalog import UnityCatalog
from verifywise_mlflow.connector.databricks.workspace_registry import WorkspaceRegistry
from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, MlflowEndpoint
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.mlflow_reader import ServerInfo
from verifywise_mlflow.connector.models import (
    Experiment,
    LoggedModel,
    ModelVersion,
    Prompt,
    PromptVersion,
    RegisteredModel,
    RemoteFile,
    TraceAssessments,
    TrainingRun,
)
from verifywise_mlflow.connector.pagination import Listing, ListingPages, PagedListing, read_listing
from verifywise_mlflow.connector.read_ahead import read_each
from verifywise_mlflow.connector.tracking_reader import TrackingReader
from verifywise_mlflow.http.errors import (
    HttpError,
    InternalServerError,
    InvalidResponseError,
    InvalidSettingsError,
    LimitExceededError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.http.settings import ConnectionSettings

RegistryKind = Literal["workspace", "unity_catalog"]

T = TypeVar("T", TrainingRun, LoggedModel)

EXPERIMENTS_PAGE_SIZE = 1_000  # Databricks documents 3,000 as the maximum
MAX_DIRECTORY_PAGE = 10_000  # ten times the entries that Databricks documents for a page
MAX_VOLUME_ENTRIES = 1_000  # entries of a folder in a volume; Databricks lists no more and returns no page token


class DatabricksReader(TrackingReader):
    """A connection to one Databricks workspace on behalf of one tenant. Opening it sends no request."""

    def __init__(self, settings: ConnectionSettings, registry: RegistryKind, catalogs: Sequence[str] = ()) -> None:
        """Connect to the workspace at ``settings.base_uri``.

        Args:
            settings: the workspace's address, and a bearer token.
            registry: which of the workspace's two registries to read.
            catalogs: for ``unity_catalog``, the catalogs to read; if empty, all catalogs that the account may see.

        Raises:
            InvalidSettingsError: a setting does not apply to Databricks.
        """
        if settings.workspace:
            raise InvalidSettingsError(
                "workspace: is for MLflow's own workspaces; a Databricks workspace is identified by its address. "
                "Remove it."
            )
        if catalogs and registry != "unity_catalog":
            raise InvalidSettingsError("catalogs: applies to registry: unity_catalog only")
        super().__init__(settings)
        self._registry: Registry = (
            UnityCatalog(self._client, settings.limits, catalogs)
            if registry == "unity_catalog"
            else WorkspaceRegistry(self._client, settings.limits)
        )
        self._roots: dict[str, str] = {}
        self.server = ServerInfo(
            version=None, store_type=f"databricks {registry}", workspaces=False, logged_models=None
        )

    # -- the registry

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """List every registered model that the account may read."""
        return self._registry.registered_models()

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """List every version of these models, in any status."""
        return self._registry.model_versions()

    def prompts(self) -> None:
        """Return None: the prompts of Unity Catalog have an API of their own, which is not read."""

    def prompt_versions(self) -> Listing[PromptVersion]:
        """Return an empty listing: see ``prompts``."""
        return Listing(())

    def prompt(self, name: str) -> Prompt:  # noqa: ARG002  # the interface of all readers
        """Raise an error: see ``prompts``."""
        raise NotFoundError("the prompts of Databricks are not read")

    def prompt_version(self, name: str, number: int) -> PromptVersion:  # noqa: ARG002  # the interface of all readers
        """Raise an error: see ``prompts``."""
        raise NotFoundError("the prompts of Databricks are not read")

    def agents(self, experiment_ids: Sequence[str]) -> None:
        """Return None: nobody has tried whether Databricks' search accepts the type of a logged model."""

    def trace_assessments(self, experiment_ids: Sequence[str]) -> TraceAssessments:  # noqa: ARG002  # the interface
        """Raise an error: Databricks stores traces elsewhere, and nobody has tried its search."""
        raise EndpointNotFoundError("the assessments of traces in Databricks are not read")

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name; in Unity Catalog ``catalog.schema.model``."""
        return self._registry.registered_model(name)

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        return self._registry.model_version(name, number)

    def version_location(self, name: str, number: int) -> str | None:  # noqa: ARG002  # the interface of all readers
        """Return None: Databricks documents no such call."""
        return None

    # -- tracking, where Databricks differs

    def experiments(self) -> Listing[Experiment]:
        """List every experiment that the account may see."""
        return self._search_experiments("name ASC", EXPERIMENTS_PAGE_SIZE)

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:
        """Read runs one by one, in any experiment.

        Databricks documents no search by a list of ids, and refuses a search over many experiments; a
        workspace has thousands (mlflow, issue 13590).
        """
        del experiment_ids
        return self._read_each(run_ids, self.run)

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:
        """Read logged models one by one, in any experiment; a search returns only 50 logged models per page."""
        del experiment_ids
        return self._read_each(model_ids, self.logged_model)

    def _read_each(self, ids: Sequence[str], read: Callable[[str], T]) -> Listing[T]:
        """Return the objects that could be read. As after a search, the caller requests each missing object itself."""
        rows: list[T] = []
        for _, result in read_each(ids, read, self._limits.max_concurrent_requests):
            if not isinstance(result, HttpError):
                rows.append(result)
            elif result.retryable and not isinstance(result, InternalServerError):
                raise result  # the server cannot be read, not just this object
        return Listing(tuple(rows))

    # -- artifacts

    def run_artifacts(self, run_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a run's artifacts; paths are relative to the run's artifact root."""
        params = {"run_id": run_id} | ({"path": path} if path else {})
        return self._directory(
            lambda page_params: self._client.get_json(MlflowEndpoint.LIST_RUN_ARTIFACTS, params | page_params), path
        )

    def logged_model_artifacts(self, model_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a logged model's artifacts; paths are relative to its artifact root."""
        params = {"artifact_directory_path": path} if path else {}
        endpoint = MlflowEndpoint.LIST_LOGGED_MODEL_ARTIFACTS
        return self._directory(
            lambda page_params: self._client.get_json(endpoint, params | page_params, identifier=model_id), path
        )

    def run_artifact(self, run_id: str, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a run's artifacts."""
        return self._file(self._root(run_id, lambda: self.run(run_id).artifact_uri), path, max_bytes)

    def logged_model_artifact(
        self, model_id: str, path: str, max_bytes: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a logged model's artifacts."""
        return self._file(self._root(model_id, lambda: self.logged_model(model_id).artifact_uri), path, max_bytes)

    def _directory(self, fetch: Callable[[dict[str, str]], dict[str, object]], path: str) -> list[RemoteFile]:
        def fetch_page(token: str | None, _max_rows: int) -> dict[str, object]:
            return fetch({"page_token": token} if token else {})

        listing = read_listing(
            # The endpoint accepts no page size; Databricks documents 1,000 entries per page.
            PagedListing(
                fetch_page,
                "files",
                parsing.remote_file,
                lambda file: file.path,
                MAX_DIRECTORY_PAGE,
                keeps_beginning=False,
            ),
            self._limits,
        )
        if listing.problems:
            raise InvalidResponseError("; ".join(listing.problems))
        files = list(listing.rows)
        if len(files) == MAX_VOLUME_ENTRIES:
            raise LimitExceededError(
                f"the folder {path!a:.300} has {MAX_VOLUME_ENTRIES:,} listed entries, the most that Databricks lists "
                "of a folder in a volume: there may be more"
            )
        # For the path of a file, Databricks lists that file; MLflow's own server lists nothing.
        is_file = len(files) == 1 and files[0].path == path and not files[0].is_directory
        return [] if is_file else files

    def _root(self, owner_id: str, artifact_uri: Callable[[], str | None]) -> str:
        """Return the Files API path of a run's or a logged model's artifacts. Each path is looked up once."""
        if owner_id not in self._roots:
            uri = artifact_uri()
            root = files_api_root(uri, owner_id) if uri else None
            if root is None:
                raise RequestRejectedError(
                    f"the artifacts are at {uri!a:.300}, which the workspace's Files API does not serve"
                )
            self._roots[owner_id] = root
        return self._roots[owner_id]

    def _file(self, root: str, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        return self._client.stream(DatabricksEndpoint.GET_FILE, (), max_bytes=max_bytes, identifier=f"{root}/{path}")
