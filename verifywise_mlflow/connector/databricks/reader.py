"""Reads one Databricks workspace with the methods of ``MlflowReader``, so that nobody else has to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeVar

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.databricks.concurrent_map import map_concurrently
from verifywise_mlflow.connector.databricks.files_api import files_api_root
from verifywise_mlflow.connector.databricks.registry import Registry
from verifywise_mlflow.connector.databricks.unity_catalog import UnityCatalog
from verifywise_mlflow.connector.databricks.workspace_registry import WorkspaceRegistry
from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, MlflowEndpoint
from verifywise_mlflow.connector.mlflow_reader import ServerInfo
from verifywise_mlflow.connector.models import (
    Experiment,
    LoggedModel,
    ModelVersion,
    RegisteredModel,
    RemoteFile,
    TrainingRun,
)
from verifywise_mlflow.connector.pagination import Listing, PagedListing, read_listing
from verifywise_mlflow.connector.tracking_reader import TrackingReader
from verifywise_mlflow.http.errors import (
    HttpError,
    InternalServerError,
    InvalidResponseError,
    InvalidSettingsError,
    LimitExceededError,
    RequestRejectedError,
)
from verifywise_mlflow.http.settings import ConnectionSettings

RegistryKind = Literal["workspace", "unity_catalog"]

T = TypeVar("T", TrainingRun, LoggedModel)

EXPERIMENTS_PAGE_SIZE = 1_000  # Databricks documents 3,000 as the largest
MAX_VOLUME_ENTRIES = 1_000  # all that Databricks lists of a folder in a volume, and it gives no token for more


class DatabricksReader(TrackingReader):
    """A connection to one Databricks workspace, on behalf of one tenant. Opening it costs no request."""

    def __init__(self, settings: ConnectionSettings, registry: RegistryKind, catalogs: Sequence[str] = ()) -> None:
        """Connect to the workspace at ``settings.base_uri``.

        Args:
            settings: the workspace's address, and a bearer token.
            registry: which of its two registries is read.
            catalogs: for ``unity_catalog``, the catalogs that are read; all that the account may see if none is named.

        Raises:
            InvalidSettingsError: the settings name what Databricks does not have.
        """
        if settings.workspace:
            raise InvalidSettingsError(
                "workspace: is for MLflow's own workspaces; a Databricks workspace is told by its address. Take it out."
            )
        if catalogs and registry != "unity_catalog":
            raise InvalidSettingsError("catalogs: goes with registry: unity_catalog only")
        super().__init__(settings)
        self._registry: Registry = (
            UnityCatalog(self._transport, settings.limits, catalogs)
            if registry == "unity_catalog"
            else WorkspaceRegistry(self._transport, settings.limits)
        )
        self._roots: dict[str, str] = {}
        self.server = ServerInfo(
            version=None, store_type=f"databricks {registry}", has_workspaces=False, has_logged_models=None
        )

    # -- the registry

    def registered_models(self) -> Listing[RegisteredModel]:
        """List every registered model that the account may read."""
        return self._registry.registered_models()

    def model_versions(self) -> Listing[ModelVersion]:
        """List every version of these models, in any status."""
        return self._registry.model_versions()

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name; in Unity Catalog ``catalog.schema.model``."""
        return self._registry.registered_model(name)

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        return self._registry.model_version(name, number)

    # -- tracking, where Databricks differs

    def experiments(self) -> Listing[Experiment]:
        """List every experiment that the account may see."""
        return self._search(
            MlflowEndpoint.SEARCH_EXPERIMENTS,
            {"max_results": EXPERIMENTS_PAGE_SIZE, "view_type": "ALL", "order_by": ["name ASC"]},
            "experiments",
            parsing.experiment,
            lambda experiment: experiment.experiment_id,
        )

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:
        """Read runs one by one, wherever they lie.

        Databricks documents no search for a list of ids, and refuses one that names many experiments, of which a
        workspace has thousands (mlflow, issue 13590).
        """
        del experiment_ids
        return self._found(run_ids, self.run)

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:
        """Read logged models one by one, wherever they lie; a search would give 50 a page."""
        del experiment_ids
        return self._found(model_ids, self.logged_model)

    def logged_model(self, model_id: str) -> LoggedModel:
        """Read one logged model by its id, wherever it lies."""
        return super().logged_model(model_id)

    def _found(self, ids: Sequence[str], read: Callable[[str], T]) -> Listing[T]:
        """Return those that could be read. As with a search, who misses one asks for it and is told why."""
        rows: list[T] = []
        for _, answer in map_concurrently(ids, read, self._bounds.max_concurrent_requests):
            if not isinstance(answer, HttpError):
                rows.append(answer)
            elif answer.retryable and not isinstance(answer, InternalServerError):
                raise answer  # it is not this object that cannot be read
        return Listing(tuple(rows))

    # -- artifacts

    def run_artifacts(self, run_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a run's artifacts; paths are relative to the run's artifact root."""
        params = {"run_id": run_id} | ({"path": path} if path else {})
        return self._directory(
            lambda page: self._transport.get_json(MlflowEndpoint.LIST_RUN_ARTIFACTS, params | page), path
        )

    def logged_model_artifacts(self, model_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a logged model's artifacts; paths are relative to its artifact root."""
        params = {"artifact_directory_path": path} if path else {}
        call = MlflowEndpoint.LIST_LOGGED_MODEL_ARTIFACTS
        return self._directory(lambda page: self._transport.get_json(call, params | page, identifier=model_id), path)

    def run_artifact(self, run_id: str, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a run's artifacts."""
        return self._file(self._root(run_id, lambda: self.run(run_id).artifact_uri), path, max_bytes)

    def logged_model_artifact(
        self, model_id: str, path: str, max_bytes: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a logged model's artifacts."""
        return self._file(self._root(model_id, lambda: self.logged_model(model_id).artifact_uri), path, max_bytes)

    def _directory(self, page: Callable[[dict[str, str]], dict[str, object]], path: str) -> list[RemoteFile]:
        def ask(token: str | None) -> dict[str, object]:
            return page({"page_token": token} if token else {})

        listing = read_listing(PagedListing(ask, "files", parsing.remote_file, lambda file: file.path), self._bounds)
        if listing.problems:
            raise InvalidResponseError("; ".join(listing.problems[:3]))
        files = list(listing.rows)
        if len(files) == MAX_VOLUME_ENTRIES:
            raise LimitExceededError(
                f"the folder {path!a:.300} shows {MAX_VOLUME_ENTRIES:,} entries, which is all that Databricks "
                "lists of a folder in a volume: there may be more"
            )
        # Asked for a file, Databricks lists that file; MLflow's own server lists nothing.
        is_file = len(files) == 1 and files[0].path == path and not files[0].is_directory
        return [] if is_file else files

    def _root(self, owner_id: str, artifact_uri: Callable[[], str | None]) -> str:
        """Return where the files of a run or a logged model are served; that is asked for once."""
        if owner_id not in self._roots:
            uri = artifact_uri()
            root = files_api_root(uri, owner_id) if uri else None
            if root is None:
                raise RequestRejectedError(
                    f"the artifacts lie at {uri!a:.300}, where the workspace's Files API does not reach"
                )
            self._roots[owner_id] = root
        return self._roots[owner_id]

    def _file(self, root: str, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        return self._transport.stream(DatabricksEndpoint.GET_FILE, (), max_bytes=max_bytes, identifier=f"{root}/{path}")
