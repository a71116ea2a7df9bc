"""Change probes: cheap requests that show whether a registry may have changed, without opening a reader first.

A probe decides when to sync. Only a full read shows whether an object was removed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.hidden_models import parse_listed_model
from verifywise_mlflow.connector.models import ModelVersion, Prompt, PromptVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import Listing
from verifywise_mlflow.connector.prompts import parse_tagged_version, tagged_version_key, to_prompt
from verifywise_mlflow.connector.registry_search import (
    PROMPT_FILTER,
    QueryParams,
    search_model_rows,
    search_version_rows,
    version_key,
)
from verifywise_mlflow.connector.response_row import Row
from verifywise_mlflow.connector.rest_client import RestClient, fetch_with_client
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.settings import ConnectionSettings

K = TypeVar("K")

_NEWEST: Final[QueryParams] = (("max_results", 1), ("order_by", "last_updated_timestamp DESC"))


@dataclass(frozen=True, slots=True)
class NewestUpdates:
    """When the objects of a registry were last updated, in milliseconds since 1970; None if the time is unknown."""

    version: int | None
    """MLflow advances this time for a new version, a stage transition and a new description, but not for tags, aliases
    and most deletions. So a new time proves a change, while an equal time proves nothing."""
    created: tuple[str, int] | None = None
    """The model name and the number of the version that was updated last, if it has not changed since its creation."""
    prompt: int | None = None
    """MLflow advances this time for a new prompt, a new version of a prompt, and the deletion of such a version. None
    if it was not requested."""


def newest_updates(settings: ConnectionSettings, *, with_prompts: bool = False) -> NewestUpdates:
    """Return when a server's versions and, if requested, its prompts were last updated. Each takes one request."""

    def newest(client: RestClient, endpoint: MlflowEndpoint, rows_key: str, filters: QueryParams = ()) -> Row | None:
        # Not ``client.probe``, which limits a response to 64 KiB: a tag or the text of a prompt can be longer.
        rows = Row(client.get_json(endpoint, (*_NEWEST, *filters))).rows(rows_key)
        return rows[0] if rows else None

    def fetch(client: RestClient) -> NewestUpdates:
        version = newest(client, MlflowEndpoint.SEARCH_VERSIONS, "model_versions")
        prompt = (
            newest(client, MlflowEndpoint.SEARCH_MODELS, "registered_models", PROMPT_FILTER) if with_prompts else None
        )
        return NewestUpdates(_updated_at(version), _created(version), _updated_at(prompt))

    return fetch_with_client(settings, fetch)


def _updated_at(row: Row | None) -> int | None:
    return row.integer("last_updated_timestamp") if row else None


def _created(row: Row | None) -> tuple[str, int] | None:
    if row is None or row.integer("creation_timestamp") != _updated_at(row):
        return None
    return version_key(parsing.model_version(row.fields))


Digest = tuple[K, str | None]
"""The key of an object and its digest; None if a sync would not store the object."""


@dataclass(frozen=True, slots=True)
class Digests:
    """The functions that digest objects. All models and prompts are digested before the first version."""

    of_model: Callable[[RegisteredModel], str | None]
    of_version: Callable[[ModelVersion], str | None]
    of_prompt: Callable[[Prompt], str | None]
    of_prompt_version: Callable[[PromptVersion], str | None]


@dataclass(frozen=True, slots=True)
class RegistryDigests:
    """The results of a server's registry searches, without versions hidden by the prompt tag."""

    models: Listing[Digest[str]]
    hidden_models: Listing[Digest[str]]
    """The models that have the prompt tag."""
    prompts: Listing[Digest[str]]
    versions: Listing[Digest[tuple[str, int]]]
    prompt_versions: Listing[Digest[tuple[str, int]]]


def digest_registry(settings: ConnectionSettings, digests: Digests) -> RegistryDigests:
    """Run the searches: ``ceil(models / 1,000) + ceil(versions / 10,000)`` requests; one request for an empty search.

    One more request shows whether there are prompts; if so, their versions are searched, too. Each row is digested as
    soon as it is parsed. So sixteen registries can be read at once without being in memory as a whole.
    """

    def fetch(client: RestClient) -> RegistryDigests:
        models = search_model_rows(client, settings.limits, _model_parser(digests), _key).read()
        parse_tagged = _tagged_model_parser(digests, {name for name, _ in models.rows})
        tagged = search_model_rows(client, settings.limits, parse_tagged, lambda row: row[0][0], PROMPT_FILTER).read()
        prompts = tuple(digest for digest, is_prompt in tagged.rows if is_prompt)
        versions = search_version_rows(client, settings.limits, _version_parser(digests), _key).read()
        return RegistryDigests(
            models,
            Listing(tuple(digest for digest, is_prompt in tagged.rows if not is_prompt), tagged.problems),
            Listing(prompts, tagged.problems),
            versions,
            _prompt_versions(client, settings, digests, {name for name, _ in prompts}),
        )

    return fetch_with_client(settings, fetch)


def _key(digest: Digest[K]) -> K:
    return digest[0]


def _model_parser(digests: Digests) -> Callable[[object, TextIntake], Digest[str]]:
    def parse(value: object, _intake: TextIntake) -> Digest[str]:
        model = parsing.registered_model(value)
        return model.name, digests.of_model(model)

    return parse


def _tagged_model_parser(
    digests: Digests, listed: Collection[str]
) -> Callable[[object, TextIntake], tuple[Digest[str], bool]]:
    """Return a function that parses a row with the prompt tag, and decides whether it is a prompt or a hidden model."""

    def parse(value: object, _intake: TextIntake) -> tuple[Digest[str], bool]:
        row = parse_listed_model(value)
        name = row.model.name
        if row.is_prompt and name not in listed:
            return (name, digests.of_prompt(to_prompt(row.model))), True
        is_hidden = name not in listed
        return (name, digests.of_model(replace(row.model, hidden_from_search=True)) if is_hidden else None), False

    return parse


def _version_parser(digests: Digests) -> Callable[[object, TextIntake], Digest[tuple[str, int]]]:
    def parse(value: object, _intake: TextIntake) -> Digest[tuple[str, int]]:
        version = parsing.model_version(value)
        return version_key(version), digests.of_version(version)

    return parse


def _prompt_versions(
    client: RestClient, settings: ConnectionSettings, digests: Digests, names: Collection[str]
) -> Listing[Digest[tuple[str, int]]]:
    if not names:
        return Listing(())

    def parse(value: object, _intake: TextIntake) -> Digest[tuple[str, int]]:
        row = parse_tagged_version(value, TextIntake())
        if isinstance(row, PromptVersion) and row.prompt_name in names:
            return tagged_version_key(row), digests.of_prompt_version(row)
        return tagged_version_key(row), None

    return search_version_rows(client, settings.limits, parse, _key, PROMPT_FILTER).read()
