"""Models in Unity Catalog: three-part names, aliases and tags, no stages.

After docs.databricks.com/api/uc-registered-models for the listings. These show neither aliases nor tags, and the
calls that Databricks documents for one object show no tags either, so each model and each version is read by itself,
as MLflow's client does. A registry of M models and V versions thus costs about 2 M + V requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.databricks.concurrent_map import map_concurrently
from verifywise_mlflow.connector.databricks.registry import page_token_param, version_key
from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, is_unity_catalog_name
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import Listing, PagedListing, read_listing
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import HttpError, InvalidResponseError, NotFoundError
from verifywise_mlflow.http.settings import Limits

E = TypeVar("E", bound=RegisteredModel | ModelVersion)

# The largest that are documented. Without a page's size, Databricks refuses to list a whole metastore
# (databricks-sdk-go, issue 813).
MODELS_PAGE_SIZE = 1_000
VERSIONS_PAGE_SIZE = 1_000

_LARGEST_VERSION = 2**31 - 1  # our own column's


class UnityCatalog:
    """Reads the models of a metastore, or of some of its catalogs."""

    def __init__(self, transport: RestClient, bounds: Limits, catalogs: Sequence[str] = ()) -> None:
        """Read ``catalogs``, or all that the account may see if none is named."""
        self._transport = transport
        self._bounds = bounds
        self._catalogs = frozenset(catalog.lower() for catalog in catalogs)
        self._listed: Listing[RegisteredModel] | None = None

    def registered_models(self) -> Listing[RegisteredModel]:
        """List every registered model that the account may read (EXECUTE), and read each."""
        self._listed = self._list_models()
        read = self._each(self._listed.rows, lambda model: self.registered_model(model.name), "registered_models")
        return Listing(read.rows, self._listed.problems + read.problems)

    def model_versions(self) -> Listing[ModelVersion]:
        """List every version of these models, in any status, and read each."""
        # The listing that has just been made for registered_models() will do.
        models = self._listed or self._list_models()
        listed: list[ModelVersion] = []
        problems = list(models.problems)
        names = [model.name for model in models.rows]
        for name, answer in map_concurrently(names, self._list_versions, self._bounds.max_concurrent_requests):
            if isinstance(answer, Listing):
                listed += answer.rows
                problems += answer.problems
            elif not isinstance(answer, NotFoundError):  # a model that is gone by now has no versions
                problems.append(f"model_versions: those of {name!a:.300} could not be listed: {answer}")
        read = self._each(listed, lambda version: self.model_version(*version_key(version)), "model_versions")
        return Listing(read.rows, (*problems, *read.problems))

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its full name."""
        answer = self._transport.get_json(DatabricksEndpoint.GET_UC_MODEL, {"name": name})
        model = parsing.registered_model(answer.get("registered_model"))
        if not _is_same(model.name, name):
            raise InvalidResponseError(f"asked for the model {name!a:.300}, the server answered with another one")
        return replace(model, name=name)

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's full name and its number."""
        answer = self._transport.get_json(DatabricksEndpoint.GET_UC_VERSION, {"name": name, "version": number})
        version = parsing.model_version(answer.get("model_version"))
        if not _is_same(version.model_name, name) or version.version_number != number:
            raise InvalidResponseError(
                f"asked for version {number} of {name!a:.300}, the server answered with another one"
            )
        return replace(version, model_name=name)

    def _list_models(self) -> Listing[RegisteredModel]:
        def ask(token: str | None) -> dict[str, object]:
            question = (("max_results", MODELS_PAGE_SIZE), *page_token_param(token))
            return self._transport.get_json(DatabricksEndpoint.LIST_UC_MODELS, question)

        listing = read_listing(
            PagedListing(ask, "registered_models", registered_model_info, lambda model: model.name), self._bounds
        )
        # A listing can be narrowed to one schema, but not to a catalog: so it is narrowed here.
        wanted = (model for model in listing.rows if not self._catalogs or _catalog(model) in self._catalogs)
        return Listing(tuple(wanted), listing.problems)

    def _list_versions(self, name: str) -> Listing[ModelVersion]:
        def ask(token: str | None) -> dict[str, object]:
            question = (("max_results", VERSIONS_PAGE_SIZE), *page_token_param(token))
            return self._transport.get_json(DatabricksEndpoint.LIST_UC_VERSIONS, question, identifier=name)

        def parse(value: object) -> ModelVersion:
            version = model_version_info(value)
            if not _is_same(version.model_name, name):
                raise InvalidResponseError(
                    f"a version of {version.model_name!a:.300} is listed among those of {name!a:.300}"
                )
            return replace(version, model_name=name)

        return read_listing(PagedListing(ask, "model_versions", parse, version_key), self._bounds)

    def _each(self, listed: Sequence[E], read: Callable[[E], E], what: str) -> Listing[E]:
        """Read each object by itself; keep what the listing shows of those that may not be read."""
        rows: list[E] = []
        failed: list[HttpError] = []
        answers: Iterator[tuple[E, E | HttpError]] = map_concurrently(
            listed, read, self._bounds.max_concurrent_requests
        )
        for row, answer in answers:
            if not isinstance(answer, HttpError):
                rows.append(answer)
            elif isinstance(answer, NotFoundError):
                continue  # deleted since it was listed
            elif answer.retryable:
                # Left out, and not kept without its tags: what was read of it before is better than that.
                failed.append(answer)
            else:
                reason = f"its tags and aliases could not be read: {_lasting(answer)}"
                rows.append(replace(row, problems=(*row.problems, reason)))
        if not failed:
            return Listing(tuple(rows))
        problem = f"{what}: {len(failed)} of {len(listed)} were listed but could not be read, the first: {failed[0]}"
        return Listing(tuple(rows), (problem,))


def registered_model_info(value: object) -> RegisteredModel:
    """Parse Databricks' ``RegisteredModelInfo`` as the listing shows it: without aliases and tags."""
    row = parsing.Row(value)
    return RegisteredModel(
        name=_full_name(row.text("full_name") or _joined(row, "name")),
        description=row.text("comment"),
        created_at=row.time("created_at"),
        last_updated_at=row.time("updated_at"),
        problems=tuple(row.problems),
    )


def model_version_info(value: object) -> ModelVersion:
    """Parse Databricks' ``ModelVersionInfo`` as the listing shows it: without aliases and tags."""
    row = parsing.Row(value)
    return ModelVersion(
        model_name=_full_name(_joined(row, "model_name")),
        version_number=row.integer("version", least=1, largest=_LARGEST_VERSION),
        created_at=row.time("created_at"),
        last_updated_at=row.time("updated_at"),
        description=row.text("comment"),
        source=row.text("source"),
        run_id=row.text("run_id"),
        status=row.text("status"),
        problems=tuple(row.problems),
    )


def _joined(row: parsing.Row, model: str) -> str:
    return ".".join(row.identity(part) for part in ("catalog_name", "schema_name", model))


def _full_name(name: str) -> str:
    if not is_unity_catalog_name(name):
        raise InvalidResponseError(f"{name!a:.300} is no name of a model in Unity Catalog")
    return name


def _is_same(name: str, other: str) -> bool:
    # Unity Catalog keeps names in lower case, but not each of its answers may write them so.
    return name.lower() == other.lower()


def _catalog(model: RegisteredModel) -> str:
    return model.name.partition(".")[0].lower()


def _lasting(error: HttpError) -> str:
    """Return an error's code or kind. The server's words may hold a number that changes each time."""
    return error.code or type(error).__name__
