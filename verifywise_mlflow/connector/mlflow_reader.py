"""Reads one MLflow server: what it offers, its registry in whole listings, and its tracking side (``tracking``)."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import urlsplit

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.hidden_models import (
    PROMPT_SOURCE,
    ListedModel,
    has_model_without_listed_versions,
    unlisted_versions,
)
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.registry_search import QueryParams, search_models, search_versions, version_key
from verifywise_mlflow.connector.tracking_reader import TrackingReader
from verifywise_mlflow.http.errors import (
    ForbiddenError,
    HttpError,
    LimitExceededError,
    NotFoundError,
    RequestRejectedError,
)
from verifywise_mlflow.http.settings import ConnectionSettings

MAX_HIDDEN_VERSION_PROBES = 1_000  # versions that no search shows, each of which costs a request

_IS_PROMPT: QueryParams = (("filter", "tags.`mlflow.prompt.is_prompt` = 'true'"),)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server offers, as it says itself."""

    version: str | None
    store_type: str | None
    """``SqlStore`` or ``FileStore``; null before MLflow 3.17."""
    has_workspaces: bool
    """Whether it keeps workspaces apart."""
    has_logged_models: bool | None
    """Whether it keeps models apart from runs, as MLflow does from 3 on; null for a server of unknown version."""


@dataclass(frozen=True, slots=True)
class _Models:
    """The models' listing, and what bears the prompts' tag beside it."""

    rows: tuple[ListedModel, ...]
    prompts: tuple[ListedModel, ...]
    problems: tuple[str, ...]


class MlflowReader(TrackingReader):
    """A connection to one MLflow server, on behalf of one tenant."""

    def __init__(self, settings: ConnectionSettings) -> None:
        super().__init__(settings)
        self._models: _Models | None = None
        try:
            self.server = self._probe(settings.workspace, has_prefix=bool(urlsplit(settings.base_uri).path.strip("/")))
        except BaseException:
            self.close()
            raise

    def _probe(self, workspace: str | None, *, has_prefix: bool) -> ServerInfo:
        row = parsing.Row({})
        # Before 3.17 there is no such route.
        with suppress(EndpointNotFoundError, NotFoundError):
            row = parsing.Row(self._transport.probe(MlflowEndpoint.SERVER_INFO))
        workspaces = row.fields.get("workspaces_enabled") is True
        if workspace and not workspaces:
            # Older servers ignore the header: every model of the server would come in under this workspace's name.
            raise RequestRejectedError(
                f"the server keeps no workspaces, so workspace: {workspace} would be ignored. "
                "Take it out of the tenant's description, or start the server with --enable-workspaces."
            )
        version = self._version()
        if not row.fields and version is None and has_prefix:
            self._find_the_prefixed_calls()
        logged_models = None if version is None else int(version.partition(".")[0]) >= 3
        return ServerInfo(version, row.text("store_type"), workspaces, logged_models)

    def _find_the_prefixed_calls(self) -> None:
        """Before 3.17, ``--static-prefix`` moves MLflow's pages and what they ask, and leaves the API where it was."""
        try:
            self._transport.probe(MlflowEndpoint.SEARCH_MODELS, {"max_results": 1})
        except EndpointNotFoundError:
            self._transport.use_ajax_paths()

    def _version(self) -> str | None:
        try:
            version = self._transport.probe_text(MlflowEndpoint.VERSION).strip()
        except (EndpointNotFoundError, NotFoundError, ForbiddenError, RequestRejectedError, LimitExceededError):
            return None  # a gateway may let nothing but the API through; the version is for the records only
        return version if re.fullmatch(r"[0-9]{1,4}\.[0-9A-Za-z.+-]{1,40}", version) else None

    def registered_models(self) -> Listing[RegisteredModel]:
        """List every registered model; prompts are left out, models that hide among them are not."""
        self._models = self._list_models()
        return Listing(tuple(listed.model for listed in self._models.rows), self._models.problems)

    def _list_models(self) -> _Models:
        shown = search_models(self._transport, self._bounds)
        tagged = search_models(self._transport, self._bounds, _IS_PROMPT)
        names = {listed.model.name for listed in shown.rows}
        unseen = [listed for listed in tagged.rows if listed.model.name not in names]
        return _Models(
            rows=shown.rows
            + tuple(
                replace(listed, model=replace(listed.model, hidden_from_search=True))
                for listed in unseen
                if not listed.is_prompt
            ),
            prompts=tuple(listed for listed in unseen if listed.is_prompt),
            problems=shown.problems + tagged.problems,
        )

    def model_versions(self) -> Listing[ModelVersion]:
        """List every model version in any status; prompts are left out, versions that hide among them are not.

        A version that no search shows is asked for by itself. The search for prompts' versions is made only where
        there are prompts, or a model that shows none of its versions.
        """
        shown = search_versions(self._transport, self._bounds)
        # The search for models that has just been made for registered_models() will do.
        models = self._models or self._list_models()
        tagged: Listing[ModelVersion] = Listing(())
        if models.prompts or has_model_without_listed_versions(models.rows, shown.rows):
            tagged = search_versions(self._transport, self._bounds, _IS_PROMPT)
        with_shown = {version.model_name for version in shown.rows}
        found = {
            version_key(version): version
            for version in tagged.rows
            if version.source != PROMPT_SOURCE and version.model_name not in with_shown
        }
        problems = [*shown.problems, *tagged.problems]
        unseen = unlisted_versions(models.rows, models.prompts, shown.rows, tagged.rows)
        missing = list(islice(unseen, MAX_HIDDEN_VERSION_PROBES + 1))
        for name, number in missing[:MAX_HIDDEN_VERSION_PROBES]:
            try:
                version = self.model_version(name, number)
            except (NotFoundError, ForbiddenError):
                continue  # numbers of deleted versions stay free; MLflow 3.17 calls that forbidden
            except HttpError as error:
                problems.append(f"model_versions: version {number} of a hidden model: {error}")
                if error.retryable:
                    break
            else:
                if version.source != PROMPT_SOURCE:
                    found[name, number] = version
        if len(missing) > MAX_HIDDEN_VERSION_PROBES:
            problems.append(
                f"model_versions: there may be more than {MAX_HIDDEN_VERSION_PROBES:,} hidden versions; the others were "
                "not asked for"
            )
        hiding = tuple(replace(version, hidden_from_search=True) for _, version in sorted(found.items()))
        return Listing(shown.rows + hiding, tuple(problems))

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""
        answer = self._transport.get_json(MlflowEndpoint.GET_MODEL, {"name": name})
        return parsing.registered_model(answer.get("registered_model"))

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        answer = self._transport.get_json(MlflowEndpoint.GET_VERSION, {"name": name, "version": number})
        return parsing.model_version(answer.get("model_version"))
