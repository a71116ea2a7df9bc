"""The registry's two searches, for models and for versions, which return pages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar

from verifywise_mlflow.connector import parsing
from verifywise_mlflow.connector.endpoints import Endpoint, MlflowEndpoint
from verifywise_mlflow.connector.hidden_models import ListedModel, parse_listed_model
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.pagination import ListingPages, PagedListing, listing_pages
from verifywise_mlflow.connector.prompts import IS_PROMPT
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.connector.text_intake import TextIntake
from verifywise_mlflow.http.settings import Limits

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

QueryParams = tuple[tuple[str, str | int], ...]
"""Query parameters in order; ``order_by`` may occur more than once."""

PROMPT_FILTER: Final[QueryParams] = (("filter", f"tags.`{IS_PROMPT}` = 'true'"),)
"""The filter that finds prompts and all objects that the prompt tag hides. A search without this filter finds neither
of them."""

MODELS_PAGE_SIZE = 1_000  # the server's maximum
VERSIONS_PAGE_SIZE = 10_000  # as MLflow's own client; the server's maximum is 200,000


def search_models(client: RestClient, limits: Limits, filters: QueryParams = ()) -> ListingPages[ListedModel, str]:
    """Return the pages of the model search: one request per thousand models."""
    return search_model_rows(client, limits, parse_listed_model, lambda row: row.model.name, filters)


def search_model_rows(
    client: RestClient,
    limits: Limits,
    parse: Callable[[object, TextIntake], T],
    identify: Callable[[T], K],
    filters: QueryParams = (),
) -> ListingPages[T, K]:
    """Return the pages of the model search, with the result of ``parse`` for each row."""
    fetch = _page_fetcher(client, MlflowEndpoint.SEARCH_MODELS, ("name ASC",), filters)
    size = MODELS_PAGE_SIZE
    return listing_pages(PagedListing(fetch, "registered_models", parse, identify, size, size), limits)


def search_versions(client: RestClient, limits: Limits) -> ListingPages[ModelVersion, tuple[str, int]]:
    """Return the pages of the version search: one request per ten thousand versions. It returns no aliases."""
    return search_version_rows(client, limits, parsing.model_version, version_key)


def search_version_rows(
    client: RestClient,
    limits: Limits,
    parse: Callable[[object, TextIntake], T],
    identify: Callable[[T], K],
    filters: QueryParams = (),
    *,
    number_column: str = "version_number",
    max_page_size: int | None = None,
) -> ListingPages[T, K]:
    """Return the pages of the version search, with the result of ``parse`` for each row.

    The keyword parameters are for Databricks, which has another column for a version's number, and smaller pages.
    """
    fetch = _page_fetcher(client, MlflowEndpoint.SEARCH_VERSIONS, ("name ASC", f"{number_column} ASC"), filters)
    size = VERSIONS_PAGE_SIZE
    return listing_pages(PagedListing(fetch, "model_versions", parse, identify, size, max_page_size), limits)


def _page_fetcher(
    client: RestClient, endpoint: Endpoint, order: Sequence[str], filters: QueryParams
) -> Callable[[str | None, int], dict[str, object]]:
    """Return a function that requests a page, given its token and the number of rows."""
    ordered: QueryParams = tuple(("order_by", column) for column in order)

    def fetch_page(token: str | None, max_rows: int) -> dict[str, object]:
        return client.get_json(endpoint, (("max_results", max_rows), *ordered, *filters, *page_token_param(token)))

    return fetch_page


def version_key(version: ModelVersion) -> tuple[str, int]:
    """Return the key that identifies a version on its server."""
    return version.model_name, version.version_number


def page_token_param(token: str | None) -> QueryParams:
    """Return the parameter that requests a page; no parameter for the first page."""
    return (("page_token", token),) if token else ()
