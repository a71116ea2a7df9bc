"""Rows appear and disappear between two pages of a listing: a row that exists throughout is never silently missed.

MLflow's page tokens are plain offsets. The proxy changes the real server after its first page was sent and before the
second page is requested. Pages are small, since only the ends of pages matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.connector.page_sizes import SMALL_PAGES, use_page_sizes
from verifywise_mlflow_tests.support.proxy import Exchange, Proxy, proxy_before
from verifywise_mlflow_tests.support.seeding import Sizes, model_name, seed
from verifywise_mlflow_tests.support.syncing import rows, sync

PAGE = 50
MODELS = PAGE + 10
VERSIONS = 110

Change = Callable[[MlflowClient], object]
Key = tuple[str, int]


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (SMALL_PAGES.models, SMALL_PAGES.versions) == (PAGE, VERSIONS - 10)
    use_page_sizes(monkeypatch, SMALL_PAGES)


@pytest.fixture
def proxy(mlflow_uri: str) -> Iterator[Proxy]:
    with proxy_before(mlflow_uri) as proxy:
        yield proxy


@pytest.fixture
def client(mlflow_uri: str, workspace: str) -> MlflowClient:
    """A client that bypasses the proxy."""
    return MlflowClient(mlflow_uri)


@pytest.fixture
def shifting_tenant(tenant: Tenant, proxy: Proxy) -> Tenant:
    """A tenant that connects through the proxy."""
    return tenant.model_copy(update={"tracking_uri": proxy.uri, "artifacts": Artifacts(manifests=False)})


@pytest.fixture
def seed_workspace(mlflow_database: Path, workspace: str) -> Callable[[Sizes], None]:
    """Fill the workspace with this many models and versions."""
    return lambda sizes: seed(mlflow_database, workspace, sizes)


@pytest.fixture
def reader(shifting_tenant: Tenant) -> Iterator[MlflowReader]:
    with closing(MlflowReader(connection_settings(shifting_tenant))) as reader:
        yield reader


class ChangeBetweenPages:
    """Changes the server right before a later page of a listing is requested: once, or each time."""

    def __init__(self, ending: str, change: Change, client: MlflowClient, *, times: int = 1) -> None:
        self.happened = 0
        self._ending, self._change, self._client, self._times = ending, change, client, times

    def __call__(self, exchange: Exchange) -> None:
        if exchange.is_later_page and exchange.path.endswith(self._ending) and self.happened < self._times:
            self.happened += 1
            self._change(self._client)


def delete(*indices: int) -> Change:
    def change(client: MlflowClient) -> None:
        for index in indices:
            client.delete_registered_model(model_name(index))

    return change


def create(*names: str) -> Change:
    def change(client: MlflowClient) -> None:
        for name in names:
            client.create_registered_model(name)

    return change


def in_sequence(*changes: Change) -> Change:
    return lambda client: [change(client) for change in changes]


CHANGES_OF_MODELS = {
    "the-first-row-is-deleted": delete(0),
    "the-first-two-rows-are-deleted": delete(0, 1),
    "the-last-row-of-the-page-is-deleted": delete(PAGE - 1),
    "the-first-row-of-the-next-page-is-deleted": delete(PAGE),
    "the-rows-around-the-boundary-go": delete(*range(PAGE - 3, PAGE + 3)),
    "so-many-go-that-no-second-page-is-left": delete(*range(12)),
    "a-row-is-inserted-at-the-front": create("a"),
    "a-row-is-inserted-at-the-boundary": create(f"{model_name(PAGE - 1)}-b"),
    "a-row-is-inserted-at-the-end": create("z"),
    "one-deleted-and-one-inserted": in_sequence(delete(3), create("a")),
    "one-deleted-at-the-front-and-one-inserted-at-the-boundary": in_sequence(
        delete(3), create(f"{model_name(PAGE - 1)}-b")
    ),
    "one-is-renamed-from-the-front-to-the-end": lambda client: client.rename_registered_model(model_name(0), "zz"),
    "one-is-renamed-from-the-end-to-the-front": lambda client: client.rename_registered_model(
        model_name(MODELS - 1), "aa"
    ),
}


@pytest.mark.parametrize("name", CHANGES_OF_MODELS)
def test_models_that_exist_throughout_are_listed_or_the_listing_is_incomplete(
    name: str, proxy: Proxy, client: MlflowClient, reader: MlflowReader, seed_workspace: Callable[[Sizes], None]
) -> None:
    seed_workspace(Sizes(MODELS, MODELS))
    before = names_in(client)
    proxy.before_request = page_change = ChangeBetweenPages("registered-models/search", CHANGES_OF_MODELS[name], client)

    listing = reader.registered_models().read()

    assert page_change.happened == 1
    listed = [model.name for model in listing.rows]
    assert len(listed) == len(set(listed)), "no row is listed twice"
    lasting = before & names_in(client)
    assert lasting <= set(listed) or not listing.is_complete
    # After one change the listing is read again, and the second reading is complete.
    assert listing.is_complete


def test_a_listing_that_changes_during_each_read_is_incomplete(
    proxy: Proxy, client: MlflowClient, reader: MlflowReader, seed_workspace: Callable[[Sizes], None]
) -> None:
    seed_workspace(Sizes(MODELS + 40, MODELS + 40))
    before = names_in(client)
    remaining_indices = iter(range(1_000))
    proxy.before_request = ChangeBetweenPages(
        "registered-models/search", lambda client: delete(next(remaining_indices))(client), client, times=99
    )

    listing = reader.registered_models().read()

    assert not listing.is_complete
    assert "registered_models changed" in " ".join(listing.problems)
    # It still has every row that any read returned.
    assert len((before & names_in(client)) - {model.name for model in listing.rows}) <= 1


def delete_version(client: MlflowClient) -> None:
    client.delete_model_version(model_name(0), "1")


def create_version(client: MlflowClient) -> None:
    client.create_model_version(model_name(1), "s3://bucket/new", await_creation_for=0)


CHANGES_OF_VERSIONS: dict[str, Change] = {
    "a-version-of-the-first-page-is-deleted": delete_version,
    "a-model-of-the-first-page-is-deleted": delete(0),
    "a-version-is-inserted-on-the-first-page": create_version,
    "one-deleted-and-one-inserted": in_sequence(delete_version, create_version),
}


@pytest.mark.parametrize("name", CHANGES_OF_VERSIONS)
def test_versions_that_exist_throughout_are_listed_or_the_listing_is_incomplete(
    name: str, proxy: Proxy, client: MlflowClient, reader: MlflowReader, seed_workspace: Callable[[Sizes], None]
) -> None:
    seed_workspace(Sizes(10, VERSIONS))
    before = versions_in(client)
    proxy.before_request = page_change = ChangeBetweenPages("model-versions/search", CHANGES_OF_VERSIONS[name], client)

    listing = reader.model_versions().read()

    assert page_change.happened == 1
    listed = [(version.model_name, version.version_number) for version in listing.rows]
    assert len(listed) == len(set(listed)), "no row is listed twice"
    lasting = before & versions_in(client)
    assert lasting <= set(listed) or not listing.is_complete
    assert listing.is_complete


def test_a_sync_whose_listing_is_incomplete_removes_nothing(
    proxy: Proxy, client: MlflowClient, shifting_tenant: Tenant, store: Store, seed_workspace: Callable[[Sizes], None]
) -> None:
    seed_workspace(Sizes(MODELS, MODELS))
    sync(shifting_tenant, store)
    client.delete_registered_model(model_name(MODELS - 1))
    remaining_indices = iter(range(1_000))
    proxy.before_request = ChangeBetweenPages(
        "registered-models/search", lambda client: delete(next(remaining_indices))(client), client, times=99
    )

    disturbed = sync(shifting_tenant, store)

    models = disturbed.reports[0].progress
    assert models.removed == 0
    assert "incomplete listing" in " ".join(note.text for note in models.notes)
    assert count_living(store, "registered_models") == MODELS

    proxy.before_request = lambda _: None
    sync(shifting_tenant, store)
    assert count_living(store, "registered_models") == len(names_in(client)) < MODELS


@pytest.mark.parametrize("name", ["the-first-two-rows-are-deleted", "a-row-is-inserted-at-the-front"])
def test_a_sync_with_shifting_pages_removes_no_existing_object(
    name: str,
    proxy: Proxy,
    client: MlflowClient,
    shifting_tenant: Tenant,
    store: Store,
    seed_workspace: Callable[[Sizes], None],
) -> None:
    seed_workspace(Sizes(MODELS, MODELS))
    sync(shifting_tenant, store)
    proxy.before_request = page_change = ChangeBetweenPages("registered-models/search", CHANGES_OF_MODELS[name], client)

    sync(shifting_tenant, store)

    assert page_change.happened == 1
    living = {row["model_name"] for row in rows(store, "registered_models") if row["deleted_at"] is None}
    assert names_in(client) <= living
    living_versions = {row["model_name"] for row in rows(store, "canonical_records") if row["deleted_at"] is None}
    assert {model for model, _ in versions_in(client)} <= living_versions


def names_in(client: MlflowClient) -> set[str]:
    """Return the names of the current models, read without the proxy."""
    names, token = set(), None
    while True:
        page = client.search_registered_models(max_results=1_000, order_by=["name ASC"], page_token=token)
        names |= {model.name for model in page}
        token = page.token
        if not token:
            return names


def versions_in(client: MlflowClient) -> set[Key]:
    page = client.search_model_versions(max_results=200_000)
    assert not page.token
    return {(version.name, int(version.version)) for version in page}


def count_living(store: Store, table: str) -> int:
    return sum(row["deleted_at"] is None for row in rows(store, table))
