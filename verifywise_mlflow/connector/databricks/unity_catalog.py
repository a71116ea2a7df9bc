"""Models in Unity Catalog: three-part names, aliases and tags, no stages.

The listings follow docs.databricks.com/api/uc-registered-models. They include neither aliases nor tags, and the
documented endpoints for one object have no tags either. So each model and each version is read separately, as MLflow's
client does. A registry of M models and V versions costs about 2 M + V requests.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, is_unity_catalog_name
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.connector.pagination import (
    UNREADABLE,
    Listed,
    Listing,
    ListingPages,
    PagedListing,
    read_listing,
)
from verifywise_mlflow.connector.read_ahead import read_each
from verifywise_mlflow.connector.registry_search import page_token_param, version_key
from verifywise_mlflow.connector.response_row import Row
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.errors import HttpError, InvalidResponseError, LimitExceededError, NotFoundError
from verifywise_mlflow.http.settings import Limits

E = TypeVar("E", bound=RegisteredModel | ModelVersion)
K = TypeVar("K", bound=Hashable)

# The documented maximum. Without a page size, Databricks refuses to list a whole metastore (databricks-sdk-go,
# issue 813).
MODELS_PAGE_SIZE = 1_000
VERSIONS_PAGE_SIZE = 1_000

READ_PAGE_SIZE = 500
"""The number of objects in a page. Each object is read separately before the page is yielded."""

_MAX_VERSION_NUMBER = 2**31 - 1  # the limit of our own column


class UnityCatalog:
    """Reads the models of a metastore, or of some of its catalogs."""

    def __init__(self, client: RestClient, limits: Limits, catalogs: Sequence[str] = ()) -> None:
        """Read ``catalogs``; if this is empty, read all catalogs that the account may see."""
        self._client = client
        self._limits = limits
        self._catalogs = frozenset(catalog.lower() for catalog in catalogs)
        self._listed: Listing[RegisteredModel] | None = None

    def registered_models(self) -> ListingPages[RegisteredModel, str]:
        """List every registered model that the account may read (privilege EXECUTE), and read each model separately."""

        def read_pages(listed: Listed[str]) -> Iterator[Sequence[RegisteredModel]]:
            self._listed = self._list_models()
            listed.problems.merge(self._listed.problems)
            yield from self._read_each(
                self._listed.rows, lambda model: self.registered_model(model.name), "registered_models", _name, listed
            )

        return ListingPages(read_pages, _name)

    def model_versions(self) -> ListingPages[ModelVersion, tuple[str, int]]:
        """List every version of these models, in any status, and read each version separately."""

        def read_pages(listed: Listed[tuple[str, int]]) -> Iterator[Sequence[ModelVersion]]:
            # Reuse the listing that registered_models() has just made.
            models = self._listed or self._list_models()
            listed.problems.merge(models.problems)
            yield from self._read_each(
                self._listed_versions(models.rows, listed.problems),
                lambda version: self.model_version(*version_key(version)),
                "model_versions",
                version_key,
                listed,
            )

        return ListingPages(read_pages, version_key)

    def _listed_versions(self, models: Sequence[RegisteredModel], problems: Problems) -> Iterator[ModelVersion]:
        names = [model.name for model in models]
        count = 0
        for name, result in read_each(names, self._list_versions, self._limits.max_concurrent_requests):
            if isinstance(result, Listing):
                count += len(result.rows)
                if count > self._limits.max_rows:
                    raise LimitExceededError(
                        f"the models have more than the {self._limits.max_rows:,} versions allowed here (max_rows)"
                    )
                yield from result.rows
                problems.merge(result.problems)
            elif not isinstance(result, NotFoundError):  # the model was deleted since it was listed
                problems.add(f"model_versions: those of {name!a:.300} could not be listed: {result}", UNREADABLE)

    def registered_model(self, name: str) -> RegisteredModel:
        """Read one registered model by its full name."""
        response = self._client.get_json(DatabricksEndpoint.GET_UC_MODEL, {"name": name})
        model = parsing.registered_model(response.get("registered_model"))
        if not _is_same(model.name, name):
            raise InvalidResponseError(f"the server responded with another model than the requested {name!a:.300}")
        return replace(model, name=name)

    def model_version(self, name: str, number: int) -> ModelVersion:
        """Read one version by its model's full name and its number."""
        response = self._client.get_json(DatabricksEndpoint.GET_UC_VERSION, {"name": name, "version": number})
        version = parsing.model_version(response.get("model_version"))
        if not _is_same(version.model_name, name) or version.version_number != number:
            raise InvalidResponseError(
                f"the server responded with another version than the requested version {number} of {name!a:.300}"
            )
        return replace(version, model_name=name)

    def _list_models(self) -> Listing[RegisteredModel]:
        def fetch_page(token: str | None, max_rows: int) -> dict[str, object]:
            params = (("max_results", max_rows), *page_token_param(token))
            return self._client.get_json(DatabricksEndpoint.LIST_UC_MODELS, params)

        listing = read_listing(
            PagedListing(
                fetch_page,
                "registered_models",
                registered_model_info,
                lambda model: model.name,
                MODELS_PAGE_SIZE,
                MODELS_PAGE_SIZE,
            ),
            self._limits,
        )
        # Catalogs are filtered here, because the endpoint filters by schema only.
        wanted = (model for model in listing.rows if not self._catalogs or _catalog(model) in self._catalogs)
        return Listing(tuple(wanted), listing.problems)

    def _list_versions(self, name: str) -> Listing[ModelVersion]:
        def fetch_page(token: str | None, max_rows: int) -> dict[str, object]:
            params = (("max_results", max_rows), *page_token_param(token))
            return self._client.get_json(DatabricksEndpoint.LIST_UC_VERSIONS, params, identifier=name)

        def parse(value: object, intake: TextIntake) -> ModelVersion:
            version = model_version_info(value, intake)
            if not _is_same(version.model_name, name):
                raise InvalidResponseError(
                    f"a version of {version.model_name!a:.300} is listed among those of {name!a:.300}"
                )
            return replace(version, model_name=name)

        return read_listing(
            PagedListing(fetch_page, "model_versions", parse, version_key, VERSIONS_PAGE_SIZE, VERSIONS_PAGE_SIZE),
            self._limits,
        )

    def _read_each(
        self, rows: Iterable[E], read: Callable[[E], E], name: str, identify: Callable[[E], K], listed: Listed[K]
    ) -> Iterator[Sequence[E]]:
        """Yield pages of objects, each read separately. An object that can never be read is yielded as listed."""
        page: list[E] = []
        count, failures = 0, 0
        first_failure: HttpError | None = None
        for row, result in read_each(rows, read, self._limits.max_concurrent_requests):
            count += 1
            if not isinstance(result, HttpError):
                page.append(result)
            elif isinstance(result, NotFoundError):
                continue  # deleted after it was listed
            elif result.retryable:
                # The object is omitted, so that the record of an earlier sync stays: a record without tags is worse.
                failures += 1
                first_failure = first_failure or result
                continue
            else:
                reason = f"its tags and aliases could not be read: {_stable_cause(result)}"
                page.append(replace(row, problems=(*row.problems, reason)))
            listed.keys[identify(page[-1])] = None
            if len(page) == READ_PAGE_SIZE:
                yield page
                page = []
        if page:
            yield page
        if failures:
            listed.problems.add(
                f"{name}: {failures} of {count} were listed but could not be read, the first: {first_failure}"
            )


def _name(model: RegisteredModel) -> str:
    return model.name


def registered_model_info(value: object, intake: TextIntake | None = None) -> RegisteredModel:
    """Parse Databricks' ``RegisteredModelInfo`` as listed: without aliases and tags."""
    row = Row(value, intake)
    return RegisteredModel(
        name=_full_name(row.text("full_name") or _joined(row, "name")),
        description=row.text("comment"),
        created_at=row.time("created_at"),
        last_updated_at=row.time("updated_at"),
        problems=row.problems.sentences(),
    )


def model_version_info(value: object, intake: TextIntake | None = None) -> ModelVersion:
    """Parse Databricks' ``ModelVersionInfo`` as listed: without aliases and tags."""
    row = Row(value, intake)
    return ModelVersion(
        model_name=_full_name(_joined(row, "model_name")),
        version_number=row.integer("version", minimum=1, maximum=_MAX_VERSION_NUMBER),
        created_at=row.time("created_at"),
        last_updated_at=row.time("updated_at"),
        description=row.text("comment"),
        source=row.text("source"),
        run_id=row.text("run_id"),
        status=row.text("status"),
        problems=row.problems.sentences(),
    )


def _joined(row: Row, model: str) -> str:
    return ".".join(row.identity(part) for part in ("catalog_name", "schema_name", model))


def _full_name(name: str) -> str:
    if not is_unity_catalog_name(name):
        raise InvalidResponseError(f"{name!a:.300} is not the name of a model in Unity Catalog")
    return name


def _is_same(name: str, other: str) -> bool:
    # Unity Catalog stores names in lower case, but not every response may use it.
    return name.lower() == other.lower()


def _catalog(model: RegisteredModel) -> str:
    return model.name.partition(".")[0].lower()


def _stable_cause(error: HttpError) -> str:
    """Return an error's code or type, which is the same at every sync. The server's text may have varying numbers."""
    return error.code or type(error).__name__
