"""A reader and pages that a server should not send: each listing ends, and is complete or reported as incomplete."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from verifywise_mlflow.http.errors import (
    InvalidResponseError,
    LimitExceededError,
)
from verifywise_mlflow_tests.connector.readers import open_reader, versions


def test_an_empty_page_with_a_token_is_not_the_end() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("model-versions", ""): {"model_versions": versions(1), "next_page_token": "a"},
        ("model-versions", "a"): {"next_page_token": "b"},
        ("model-versions", "b"): {"model_versions": [], "next_page_token": "c"},
        ("model-versions", "c"): {"model_versions": versions(2)},
    }

    with open_reader(pages) as (reader, _):
        listing = reader.model_versions().read()

    assert [version.version_number for version in listing.rows] == [1, 2]
    assert listing.is_complete


@pytest.mark.parametrize("following", ["a", "b"])
def test_a_listing_whose_tokens_repeat_is_an_error(following: str) -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("model-versions", ""): {"next_page_token": "a"},
        ("model-versions", "a"): {"next_page_token": "b"},
        ("model-versions", "b"): {"next_page_token": following},
    }

    with open_reader(pages) as (reader, _), pytest.raises(InvalidResponseError, match="would never end"):
        reader.model_versions().read()


@pytest.mark.parametrize("token", [3, True, ["a"], {"offset": 3}])
def test_a_token_that_is_not_text_is_an_error(token: object) -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {("experiments", ""): {"next_page_token": token}}

    with open_reader(pages) as (reader, _), pytest.raises(InvalidResponseError, match="has a page token of type"):
        reader.experiments()


def test_a_token_with_a_lone_surrogate_is_sent_back() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {("model-versions", ""): {"next_page_token": "\ud800"}}

    with open_reader(pages) as (reader, _):
        assert reader.model_versions().read().rows == ()


def test_an_endless_listing_is_bounded() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("experiments", str(page) if page else ""): {"next_page_token": str(page + 1)} for page in range(100)
    }

    with open_reader(pages) as (reader, server):
        with pytest.raises(LimitExceededError, match=r"20 pages allowed here \(max_pages\)"):
            reader.experiments()

        assert len(server.requests) == 2 + 20


def test_both_listings_request_a_stable_order() -> None:
    with open_reader({}) as (reader, server):
        reader.registered_models().read()
        reader.model_versions().read()

    urls = [urlsplit(request.target) for request in server.requests if "search" in request.target]
    orders = {url.path.split("/")[-2]: parse_qs(url.query)["order_by"] for url in urls}
    assert orders == {"registered-models": ["name ASC"], "model-versions": ["name ASC", "version_number ASC"]}
    assert all("order_by" in parse_qs(url.query) for url in urls)


def test_an_unusable_row_makes_a_listing_incomplete() -> None:
    pages: dict[tuple[str, str], dict[str, object]] = {
        ("model-versions", ""): {"model_versions": [*versions(1), {"name": "m"}]}
    }

    with open_reader(pages) as (reader, _):
        listing = reader.model_versions().read()

    assert len(listing.rows) == 1
    assert not listing.is_complete


def test_a_search_without_possible_results_is_not_sent() -> None:
    with open_reader({}) as (reader, server):
        requests_before = len(server.requests)

        assert reader.runs(["r1"], []).rows == ()
        assert reader.runs(["it's no id"], ["1"]).rows == ()
        assert reader.logged_models([], ["1"]).rows == ()

        assert len(server.requests) == requests_before
