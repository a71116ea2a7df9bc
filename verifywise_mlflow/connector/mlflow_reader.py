"""The reader of an MLflow server: server detection and registry listings, on top of ``tracking_reader.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import urlsplit

from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.hidden_models import (
    PROMPT_SOURCES,
    ListedModel,
    has_model_without_listed_versions,
    unlisted_versions,
    without_contents,
)
from verifywise_mlflow.connector.models import ModelVersion, Prompt, PromptVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import CUT_SHORT, UNREADABLE, Listed, Listing, ListingPages
from verifywise_mlflow.connector.prompts import (
    IS_PROMPT,
    is_prompt_model,
    is_prompt_version,
    parse_tagged_version,
    tagged_version_key,
    to_prompt,
    to_prompt_version,
)
from verifywise_mlflow.connector.read_ahead import in_background, read_each
from verifywise_mlflow.connector.registry_search import (
    PROMPT_FILTER,
    search_models,
    search_version_rows,
    search_versions,
    version_key,
)
from verifywise_mlflow.connector.response_row import Row
from verifywise_mlflow.connector.tracking_reader import TrackingReader
from verifywise_mlflow.http.errors import (
    DeadlineExceededError,
    ForbiddenError,
    HttpError,
    LimitExceededError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.http.settings import ConnectionSettings

MAX_HIDDEN_VERSION_PROBES = 1_000
"""The maximum number of versions per listing that are requested one by one because no search lists them."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server reports about itself."""

    version: str | None
    store_type: str | None
    """``SqlStore`` or ``FileStore``; null before MLflow 3.17."""
    workspaces: bool
    """Whether workspaces are enabled."""
    logged_models: bool | None
    """Whether the server has logged models, which exist from MLflow 3 on; None if the version is unknown."""


@dataclass(frozen=True, slots=True)
class _ModelListing:
    """The models, including hidden ones, and the prompts."""

    rows: tuple[ListedModel, ...]
    prompts: tuple[ListedModel, ...]


def _prompts_of(tagged: Sequence[ListedModel], problems: Problems) -> Listing[Prompt]:
    return Listing(tuple(to_prompt(row.model) for row in tagged if row.is_prompt), problems)


def _prompt_versions_of(tagged: Listing[ModelVersion | PromptVersion]) -> Listing[PromptVersion]:
    return Listing(tuple(row for row in tagged.rows if isinstance(row, PromptVersion)), tagged.problems)


def _server_info(row: Row, version: str | None, *, workspaces: bool) -> ServerInfo:
    logged_models = None if version is None else int(version.partition(".")[0]) >= 3
    return ServerInfo(version, row.text("store_type"), workspaces, logged_models)


class MlflowReader(TrackingReader):
    """A connection to one MLflow server on behalf of one tenant."""

    def __init__(self, settings: ConnectionSettings) -> None:
        super().__init__(settings)
        self._models: _ModelListing | None = None
        self._prompts: Listing[Prompt] | None = None
        self._prompt_versions: Listing[PromptVersion] | None = None
        try:
            self._server = self._probe(settings.workspace, has_prefix=bool(urlsplit(settings.base_uri).path.strip("/")))
        except BaseException:
            self.close()
            raise

    @property
    def server(self) -> ServerInfo:
        """What the server reports about itself. Waits for the response with the server's version."""
        return self._server.result()

    def _probe(self, workspace: str | None, *, has_prefix: bool) -> Future[ServerInfo]:
        row = Row({})
        # The endpoint exists from 3.17 on.
        with suppress(EndpointNotFoundError, NotFoundError):
            row = Row(self._client.probe(MlflowEndpoint.SERVER_INFO))
        workspaces = row.fields.get("workspaces_enabled") is True
        if workspace and not workspaces:
            # Older servers ignore the header: all models of the server would be stored under this workspace's name.
            raise RequestRejectedError(
                f"the server has no workspaces, so workspace: {workspace} would be ignored. "
                "Remove it from the tenant's description, or start the server with --enable-workspaces."
            )
        if row.fields:
            # The server has accepted the credentials. No request depends on the version, so the sync does not wait.
            return in_background(lambda: _server_info(row, self._version_if_readable(), workspaces=workspaces))
        version = self._version()
        if version is None and has_prefix:
            self._detect_ajax_paths()
        server: Future[ServerInfo] = Future()
        server.set_result(_server_info(row, version, workspaces=workspaces))
        return server

    def _detect_ajax_paths(self) -> None:
        """Use the paths of the web pages if only these paths honor ``--static-prefix``, as before MLflow 3.17."""
        try:
            # Not ``probe``, which limits a response to 64 KiB: a model's tags can be longer.
            self._client.get_json(MlflowEndpoint.SEARCH_MODELS, {"max_results": 1})
        except EndpointNotFoundError:
            self._client.use_ajax_paths()

    def _version_if_readable(self) -> str | None:
        try:
            return self._version()
        except HttpError:
            return None

    def _version(self) -> str | None:
        try:
            version = self._client.probe_text(MlflowEndpoint.VERSION).strip()
        except (EndpointNotFoundError, NotFoundError, ForbiddenError, RequestRejectedError, LimitExceededError):
            return None  # a gateway may forward the API only; the version is informational
        return version if re.fullmatch(r"[0-9]{1,4}\.[0-9A-Za-z.+-]{1,40}", version) else None

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """List every registered model, including models that are hidden by the prompt tag, without prompts."""
        return ListingPages(self._model_pages, lambda model: model.name)

    def _model_pages(self, listed: Listed[str]) -> Iterator[Sequence[RegisteredModel]]:
        rows: dict[str, ListedModel] = {}
        for page in search_models(self._client, self._limits).read_pages(listed):
            rows |= {row.model.name: without_contents(row) for row in page}
            yield [row.model for row in page]
        tagged = self._tagged_models()
        tagged_only = [row for row in tagged.rows if row.model.name not in listed.keys]
        hidden = [row for row in tagged_only if not row.is_prompt]
        listed.problems.merge(tagged.problems)
        listed.keys.update((row.model.name, None) for row in hidden)
        if hidden:
            yield [replace(row.model, hidden_from_search=True) for row in hidden]
        rows |= {row.model.name: without_contents(row) for row in hidden}
        self._models = _ModelListing(
            rows=tuple(rows[name] for name in listed.keys),
            prompts=tuple(without_contents(row) for row in tagged_only if row.is_prompt),
        )
        self._prompts = _prompts_of(tagged_only, tagged.problems)

    def _tagged_models(self) -> Listing[ListedModel]:
        return search_models(self._client, self._limits, PROMPT_FILTER).read()

    def _tagged_versions(self) -> Listing[ModelVersion | PromptVersion]:
        return search_version_rows(
            self._client, self._limits, parse_tagged_version, tagged_version_key, PROMPT_FILTER
        ).read()

    def prompts(self) -> Listing[Prompt]:
        """List every prompt, from the search that ``registered_models()`` has just made, or else from a new search."""
        known, self._prompts = self._prompts, None
        if known is None:
            tagged = self._tagged_models()
            known = _prompts_of(tagged.rows, tagged.problems)
        return known

    def prompt_versions(self) -> Listing[PromptVersion]:
        """List all versions of prompts, from the search that ``model_versions()`` has just made, or a new search."""
        known, self._prompt_versions = self._prompt_versions, None
        return known or _prompt_versions_of(self._tagged_versions())

    def prompt(self, name: str) -> Prompt:
        """Read one prompt by its name.

        Raises:
            NotFoundError: there is no model of this name, or the model is not a prompt.
        """
        model = self.registered_model(name)
        if not is_prompt_model(model.tags):
            raise NotFoundError("the registry has a model of this name, but it is no prompt")
        return to_prompt(model)

    def prompt_version(self, name: str, number: int) -> PromptVersion:
        """Read one version of a prompt by the prompt's name and its number.

        Raises:
            NotFoundError: there is no such version, or it belongs to no prompt.
        """
        version = self.model_version(name, number)
        if not is_prompt_version(version):
            raise NotFoundError("the registry has a version of this name and number, but it belongs to no prompt")
        return to_prompt_version(version)

    def _listed_models(self) -> _ModelListing:
        """Return the models that ``registered_models()`` has just listed, or list them if it was not called."""
        known = self._models
        if known is None:
            self.registered_models().read()
        models, self._models = self._models, known
        assert models is not None
        return models

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """List every model version in any status, including versions that the prompt tag hides, without prompts.

        A version that no search lists is requested separately. Versions of prompts are searched only if there are
        prompts, or a model without listed versions.
        """
        return ListingPages(self._version_pages, version_key)

    def _version_pages(self, listed: Listed[tuple[str, int]]) -> Iterator[Sequence[ModelVersion]]:
        yield from search_versions(self._client, self._limits).read_pages(listed)
        if not listed.keys:
            yield ()  # an empty page, for callers that request only the first page: the code below needs the models
        names_with_listed = {name for name, _ in listed.keys}
        models = self._listed_models()
        tagged: Listing[ModelVersion | PromptVersion] = Listing(())
        if models.prompts or has_model_without_listed_versions(models.rows, names_with_listed):
            tagged = self._tagged_versions()
        self._prompt_versions = _prompt_versions_of(tagged)
        listed.problems.merge(tagged.problems)
        hidden = {
            version_key(version): version
            for version in tagged.rows
            if isinstance(version, ModelVersion) and version.model_name not in names_with_listed
        }
        candidates = unlisted_versions(
            models.rows, models.prompts, names_with_listed, map(tagged_version_key, tagged.rows)
        )
        hidden |= self._requested_versions(candidates, listed.problems)
        listed.keys.update(dict.fromkeys(sorted(hidden)))
        if hidden:
            yield [replace(version, hidden_from_search=True) for _, version in sorted(hidden.items())]

    def _requested_versions(
        self, candidates: Iterator[tuple[str, int]], problems: Problems
    ) -> dict[tuple[str, int], ModelVersion]:
        """Request each version that no search lists; return the versions that exist and belong to no prompt."""
        probed = list(islice(candidates, MAX_HIDDEN_VERSION_PROBES + 1))
        existing: dict[tuple[str, int], ModelVersion] = {}
        for key, result in read_each(
            probed[:MAX_HIDDEN_VERSION_PROBES],
            lambda key: self.model_version(*key),
            self._limits.max_concurrent_requests,
        ):
            if isinstance(result, ModelVersion):
                if result.source not in PROMPT_SOURCES:
                    existing[key] = result
            elif not isinstance(result, NotFoundError | ForbiddenError):
                kind = CUT_SHORT if isinstance(result, DeadlineExceededError) else UNREADABLE
                problems.add(f"model_versions: version {key[1]} of a hidden model: {result}", kind)
                if result.retryable:
                    break
            # Otherwise, the version was deleted: MLflow does not find it, and MLflow 3.17 reports it as forbidden.
        if len(probed) > MAX_HIDDEN_VERSION_PROBES:
            problems.add(
                f"model_versions: there may be more than {MAX_HIDDEN_VERSION_PROBES:,} hidden versions; the others "
                "were not requested"
            )
        return existing

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name.

        ``hidden_from_search`` is true if the model has the prompt tag. Only a listing shows whether the tag hides it.
        """
        response = self._client.get_json(MlflowEndpoint.GET_MODEL, {"name": name})
        model = parsing.registered_model(response.get("registered_model"))
        return replace(model, hidden_from_search=IS_PROMPT in model.tags)

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number.

        ``hidden_from_search`` is true if this version has the prompt tag. The tag of another version hides it, too.
        """
        response = self._client.get_json(MlflowEndpoint.GET_VERSION, {"name": name, "version": number})
        version = parsing.model_version(response.get("model_version"))
        return replace(version, hidden_from_search=IS_PROMPT in version.tags)

    def version_location(self, name: str, number: int) -> str | None:
        """Return the location of a version's files, to which MLflow resolved the source at registration."""
        response = self._client.get_json(MlflowEndpoint.GET_VERSION_LOCATION, {"name": name, "version": number})
        location = response.get("artifact_uri")
        return location if isinstance(location, str) and location.strip() else None
