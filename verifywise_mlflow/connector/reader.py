"""Reads one MLflow server: whole listings, runs in batches, files in streams.

Listings come in few, large pages. A page may be empty and still have a next one (MLflow 3.17 filters
by permission after paging), so only a missing token ends a listing. Tokens are plain offsets: rows
that are deleted meanwhile shift the pages, which the stable order keeps to insertions and deletions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.entities import (
    Experiment,
    LoggedModel,
    ModelVersion,
    RegisteredModel,
    RemoteFile,
    TrainingRun,
)
from verifywise_mlflow.connector.errors import (
    BoundExceededError,
    ConnectorError,
    ForbiddenError,
    NoSuchRouteError,
    NotFoundError,
    ProtocolError,
    RejectedError,
)
from verifywise_mlflow.connector.read_calls import ReadCall
from verifywise_mlflow.connector.settings import ConnectionSettings
from verifywise_mlflow.connector.transport import Traffic, Transport

T = TypeVar("T")
Question = tuple[tuple[str, str | int], ...]
"""A GET call's parameters, in order; ``order_by`` may come more than once."""

MODELS_A_PAGE = 1_000  # the server's maximum
VERSIONS_A_PAGE = 10_000  # what MLflow's own client asks for; the server would allow 200,000
EXPERIMENTS_A_PAGE = 1_000
RUNS_A_REQUEST = 200  # about 0.5 s of a small server's time; its parser of filters ends at 4,996
LOGGED_MODELS_A_REQUEST = 1_000
HIDDEN_ASKED_A_LISTING = 1_000  # versions that no search shows, each of which costs a request

_IS_PROMPT = "tags.`mlflow.prompt.is_prompt` = 'true'"
_PROMPT_SOURCE = "dummy-source"  # what MLflow registers a prompt's version with


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says of itself."""

    version: str | None
    store_type: str | None
    """``SqlStore`` or ``FileStore``; null before MLflow 3.17."""
    workspaces: bool
    """Whether it keeps workspaces apart."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """All rows of one kind, and whether that is all there are."""

    rows: tuple[T, ...]
    problems: tuple[str, ...] = ()
    """Why it is not complete; empty for a complete listing. An incomplete one must not remove anything."""

    @property
    def is_complete(self) -> bool:
        """Whether what is not in it is not there."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class _ListedModel:
    """A row of the models' listing, with the newest version of each stage that comes along."""

    model: RegisteredModel
    latest: tuple[ModelVersion, ...]

    @property
    def is_prompt(self) -> bool:
        return bool(self.latest) and all(version.source == _PROMPT_SOURCE for version in self.latest)


def _listed_model(value: object) -> _ListedModel:
    latest, _ = parsing.parsed(parsing.Row(value).fields.get("latest_versions"), parsing.model_version, "")
    return _ListedModel(parsing.registered_model(value), tuple(latest))


class MlflowReader:
    """A connection to one MLflow server, on behalf of one tenant."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._transport = Transport(settings)
        self._models: Listing[_ListedModel] | None = None
        self.server = self._probe()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    @property
    def traffic(self) -> Traffic:
        """What this connection has cost the server so far."""
        return self._transport.traffic

    def _probe(self) -> ServerInfo:
        row = parsing.Row({})
        # Before 3.17 there is no such route.
        with suppress(NoSuchRouteError, NotFoundError, ProtocolError):
            row = parsing.Row(self._transport.get_json(ReadCall.SERVER_INFO))
        workspaces = row.fields.get("workspaces_enabled") is True
        if self._settings.workspace and not workspaces:
            # Older servers ignore the header: every model of the server would come in under this workspace's name.
            raise RejectedError(
                f"the server keeps no workspaces, so workspace: {self._settings.workspace} would be ignored. "
                "Take it out of the tenant's description, or start the server with --enable-workspaces."
            )
        return ServerInfo(self._version(), row.text("store_type"), workspaces)

    def _version(self) -> str | None:
        try:
            version = self._transport.get_text(ReadCall.VERSION).strip()
        except (NoSuchRouteError, NotFoundError, ForbiddenError, RejectedError, BoundExceededError):
            return None  # a gateway may let nothing but the API through; the version is for the records only
        return version if version and len(version) < 50 and version[0].isdigit() else None

    # -- the registry

    def registered_models(self) -> Listing[RegisteredModel]:
        """List every registered model; prompts are left out, models that hide among them are not."""
        self._models = self._list_models()
        return Listing(tuple(listed.model for listed in self._models.rows), self._models.problems)

    def _list_models(self) -> Listing[_ListedModel]:
        shown = self._search_models(())
        tagged = self._search_models((("filter", _IS_PROMPT),))
        names = {listed.model.name for listed in shown.rows}
        hiding = tuple(
            replace(listed, model=replace(listed.model, hidden_from_search=True))
            for listed in tagged.rows
            # What has no version is taken for a prompt: there is nothing of it to govern.
            if listed.latest and not listed.is_prompt and listed.model.name not in names
        )
        return Listing(shown.rows + hiding, shown.problems + tagged.problems)

    def _search_models(self, params: Question) -> Listing[_ListedModel]:
        question: Question = (("max_results", MODELS_A_PAGE), ("order_by", "name ASC"), *params)
        return self._list_get(ReadCall.SEARCH_MODELS, question, "registered_models", _listed_model)

    def model_versions(self) -> Listing[ModelVersion]:
        """List every model version in any status; prompts are left out, versions that hide among them are not.

        Anyone who may set a tag can hide versions: the prompt tag on one of them takes all versions of the model
        out of the search, even after that one is deleted, and the search for prompts shows the tagged one only.
        So a model whose versions the search does not show is asked for each of them.
        """
        shown = self._versions(())
        tagged = self._versions((("filter", _IS_PROMPT),))
        # The search for models that has just been made for registered_models() will do.
        models = self._models or self._list_models()
        with_shown = {version.model_name for version in shown.rows}
        found = {
            (version.model_name, version.version_number): version
            for version in tagged.rows
            if version.source != _PROMPT_SOURCE and version.model_name not in with_shown
        }
        newest = dict(sorted(found))
        for listed in models.rows:
            if listed.latest and listed.model.name not in with_shown:
                numbers = (version.version_number for version in listed.latest)
                newest[listed.model.name] = max(*numbers, newest.get(listed.model.name, 0))
        missing = [
            (name, number)
            for name, last in sorted(newest.items())
            for number in range(last, 0, -1)
            if (name, number) not in found
        ]
        problems = [*shown.problems, *tagged.problems]
        for name, number in missing[:HIDDEN_ASKED_A_LISTING]:
            try:
                found[name, number] = self.model_version(name, number)
            except (NotFoundError, ForbiddenError):
                continue  # numbers of deleted versions stay free; MLflow 3.17 calls that forbidden
            except ConnectorError as error:
                problems.append(f"model_versions: version {number} of a hidden model: {error}")
                if error.passing:
                    break
        if len(missing) > HIDDEN_ASKED_A_LISTING:
            problems.append(
                f"model_versions: {len(missing) - HIDDEN_ASKED_A_LISTING} hidden versions were not asked for"
            )
        hiding = tuple(replace(version, hidden_from_search=True) for _, version in sorted(found.items()))
        return Listing(shown.rows + hiding, tuple(problems))

    def _versions(self, params: Question) -> Listing[ModelVersion]:
        order: Question = (("order_by", "name ASC"), ("order_by", "version_number ASC"))
        question: Question = (("max_results", VERSIONS_A_PAGE), *order, *params)
        return self._list_get(ReadCall.SEARCH_VERSIONS, question, "model_versions", parsing.model_version)

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its name."""
        answer = self._transport.get_json(ReadCall.GET_MODEL, {"name": name})
        return parsing.registered_model(answer.get("registered_model"))

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's name and its number."""
        answer = self._transport.get_json(ReadCall.GET_VERSION, {"name": name, "version": number})
        return parsing.model_version(answer.get("model_version"))

    # -- tracking

    def experiments(self) -> Listing[Experiment]:
        """List every experiment that the account may see, deleted ones too."""
        return self._list_post(
            ReadCall.SEARCH_EXPERIMENTS,
            {"max_results": EXPERIMENTS_A_PAGE, "view_type": "ALL"},
            "experiments",
            parsing.experiment,
        )

    def runs(self, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[TrainingRun]:
        """Read up to ``RUNS_A_REQUEST`` runs, deleted ones too, that lie in the given experiments."""
        if not experiment_ids or not _quoted(run_ids):
            return Listing(())  # MLflow answers a search without experiments with nothing, whatever it holds
        question = {
            # As strings: MLflow 3.17 answers numbers with an empty page.
            "experiment_ids": list(experiment_ids),
            "filter": f"attributes.run_id IN ({_quoted(run_ids)})",
            "run_view_type": "ALL",
            "max_results": _one_page(run_ids),
        }
        return self._list_post(ReadCall.SEARCH_RUNS, question, "runs", parsing.training_run)

    def run(self, run_id: str) -> TrainingRun:
        """Read one run by its id, wherever it lies."""
        return parsing.training_run(self._transport.get_json(ReadCall.GET_RUN, {"run_id": run_id}).get("run"))

    def experiment(self, experiment_id: str) -> Experiment:
        """Read one experiment by its id."""
        answer = self._transport.get_json(ReadCall.GET_EXPERIMENT, {"experiment_id": experiment_id})
        return parsing.experiment(answer.get("experiment"))

    def logged_models(self, model_ids: Sequence[str], experiment_ids: Sequence[str]) -> Listing[LoggedModel]:
        """Read up to ``LOGGED_MODELS_A_REQUEST`` logged models that lie in the given experiments."""
        if not experiment_ids or not _quoted(model_ids):
            return Listing(())
        question = {
            "experiment_ids": list(experiment_ids),
            "filter": f"model_id IN ({_quoted(model_ids)})",
            "max_results": _one_page(model_ids),
        }
        return self._list_post(ReadCall.SEARCH_LOGGED_MODELS, question, "models", parsing.logged_model)

    def logged_model(self, model_id: str) -> LoggedModel:
        """Read one logged model by its id, wherever it lies."""
        answer = self._transport.get_json(ReadCall.GET_LOGGED_MODEL, identifier=model_id)
        return parsing.logged_model(answer.get("model"))

    # -- artifacts

    def run_artifacts(self, run_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a run's artifacts; paths are relative to the run's artifact root."""
        params = {"run_id": run_id} | ({"path": path} if path else {})
        return self._files(self._transport.get_json(ReadCall.LIST_RUN_ARTIFACTS, params))

    def logged_model_artifacts(self, model_id: str, path: str) -> list[RemoteFile]:
        """List one directory of a logged model's artifacts; paths are relative to its artifact root."""
        params = {"artifact_directory_path": path} if path else {}
        return self._files(self._transport.get_json(ReadCall.LIST_LOGGED_MODEL_ARTIFACTS, params, identifier=model_id))

    def run_artifact(self, run_id: str, path: str, max_bytes: int) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a run's artifacts."""
        return self._transport.stream(ReadCall.GET_RUN_ARTIFACT, {"run_id": run_id, "path": path}, max_bytes=max_bytes)

    def logged_model_artifact(
        self, model_id: str, path: str, max_bytes: int
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream one file of a logged model's artifacts."""
        return self._transport.stream(
            ReadCall.GET_LOGGED_MODEL_ARTIFACT,
            {"artifact_file_path": path},
            max_bytes=max_bytes,
            identifier=model_id,
        )

    def _files(self, answer: dict[str, object]) -> list[RemoteFile]:
        files, problems = parsing.parsed(answer.get("files"), parsing.remote_file, "files")
        if problems:
            raise ProtocolError("; ".join(problems[:3]))
        return files

    # -- pages

    def _list_get(
        self,
        call: ReadCall,
        question: Question,
        key: str,
        parse: Callable[[object], T],
    ) -> Listing[T]:
        def page(token: str | None) -> dict[str, object]:
            return self._transport.get_json(call, question + ((("page_token", token),) if token else ()))

        return self._list(page, key, parse)

    def _list_post(
        self, call: ReadCall, question: dict[str, object], key: str, parse: Callable[[object], T]
    ) -> Listing[T]:
        def page(token: str | None) -> dict[str, object]:
            return self._transport.post_json(call, question | ({"page_token": token} if token else {}))

        return self._list(page, key, parse)

    def _list(
        self, page: Callable[[str | None], dict[str, object]], key: str, parse: Callable[[object], T]
    ) -> Listing[T]:
        rows: list[T] = []
        problems: list[str] = []
        seen: set[str] = set()
        token: str | None = None
        while True:
            answer = page(token)
            objects, unusable = parsing.parsed(answer.get(key), parse, key)
            rows += objects
            problems += unusable
            following = answer.get("next_page_token")
            if following is None or following == "":
                return Listing(tuple(rows), tuple(problems))
            if not isinstance(following, str):
                # To end here would make a part of the listing look like all of it.
                raise ProtocolError(f"the listing of {key} goes on with a token that is {type(following).__name__}")
            token = following
            if token in seen:
                raise ProtocolError(f"the listing of {key} came back to a page it had been at: it would never end")
            seen.add(token)
            if len(seen) >= self._settings.bounds.pages:
                raise BoundExceededError(
                    f"the listing of {key} has more pages than pages={self._settings.bounds.pages}"
                )


def _one_page(identifiers: Sequence[str]) -> int:
    """Return a page's size that is never exactly full: MLflow up to 3.1 gives such a page a token to an empty one."""
    return len(identifiers) + 1


def _quoted(identifiers: Sequence[str]) -> str:
    """Return identifiers as a list for a filter. Run and model ids have no quotes; what has one cannot be an id."""
    return ", ".join(f"'{identifier}'" for identifier in identifiers if "'" not in identifier)


def newest_version_time(settings: ConnectionSettings) -> int | None:
    """Return the newest ``last_updated_timestamp`` of a server's versions, in milliseconds: one request, no probe.

    It moves for a new version, a stage and a description; never for tags, aliases and most deletions. So
    a new value means that something has changed, and the same value means nothing.
    """
    transport = Transport(settings)
    try:
        page = transport.get_json(
            ReadCall.SEARCH_VERSIONS, {"max_results": 1, "order_by": "last_updated_timestamp DESC"}
        )
    finally:
        transport.close()
    rows = parsing.Row(page).rows("model_versions")
    return rows[0].number("last_updated_timestamp") if rows else None
