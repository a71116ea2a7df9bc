"""The allow-list admits exactly the documented Databricks endpoints, for any content of a name."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.connector.endpoints import DatabricksEndpoint, is_unity_catalog_name
from verifywise_mlflow_tests.connector.allow_list import is_allowed_endpoint

EXAMPLES = {
    DatabricksEndpoint.LIST_UC_VERSIONS: "main.retail.churn",
    DatabricksEndpoint.GET_FILE: "Volumes/main/ml/files/x",
}
ALLOWED = [(endpoint.method, endpoint.path(EXAMPLES.get(endpoint))) for endpoint in DatabricksEndpoint]


@pytest.mark.parametrize(("method", "path"), ALLOWED)
def test_every_endpoint_on_the_list_is_allowed(method: str, path: str) -> None:
    assert is_allowed_endpoint(method, path)


def test_the_list_holds_only_get_endpoints() -> None:
    assert {endpoint.method for endpoint in DatabricksEndpoint} == {"GET"}


MODELS = "api/2.1/unity-catalog/models"
FILES = "api/2.0/fs/files"
NEAR_MISSES = [
    ("POST", MODELS),
    ("DELETE", f"{MODELS}/a.b.c"),
    ("PATCH", f"{MODELS}/a.b.c"),
    ("GET", f"{MODELS}/a.b.c"),
    ("GET", f"{MODELS}/a.b.c/versions/1"),
    ("GET", f"{MODELS}/a.b.c/versions/"),
    ("GET", f"{MODELS}/a.b/versions"),
    ("GET", f"{MODELS}/a.b.c.d/versions"),
    ("GET", f"{MODELS}/a..c/versions"),
    ("GET", f"{MODELS}/../versions"),
    ("GET", f"{MODELS}/a.b.c/../x.y.z/versions"),
    ("GET", f"{MODELS}/a.b.c/versions\n"),
    ("GET", f"{MODELS}/a.b.\ud800/versions"),
    ("GET", f"{MODELS}/{{id}}/versions"),
    ("GET", f"{MODELS}/a.b.{'c' * 256}/versions"),
    ("GET", "api/2x1/unity-catalog/models"),
    ("GET", f"/{MODELS}"),
    ("PUT", f"{FILES}/Volumes/a/b/c/d"),
    ("HEAD", f"{FILES}/Volumes/a/b/c/d"),
    ("GET", f"{FILES}/Workspace/Users/ann/notebook"),
    ("GET", f"{FILES}/WorkspaceInternal/Mlflow/Secrets/x"),
    ("GET", f"{FILES}/Volumes"),
    ("GET", f"{FILES}/Volumes/"),
    ("GET", f"{FILES}/Volumes/a//b"),
    ("GET", f"{FILES}/Volumes/../Workspace"),
    ("GET", f"{FILES}/Volumes/a/.."),
    ("GET", f"{FILES}/Volumes/a/."),
    ("GET", f"{FILES}/Volumes/a/%2E%2e/b"),
    ("GET", f"{FILES}/Volumes/a/b%2fc"),
    ("GET", f"{FILES}/Volumes/a/b%5Cc"),
    ("GET", f"{FILES}/Volumes/a\\b"),
    ("GET", "api/2.0/mlflow/unity-catalog/model-versions/generate-temporary-credentials"),
    ("POST", "api/2.0/mlflow/unity-catalog/registered-models/set-tag"),
]


@pytest.mark.parametrize(("method", "path"), NEAR_MISSES)
def test_writes_and_near_misses_are_not_allowed(method: str, path: str) -> None:
    assert not is_allowed_endpoint(method, path)


junk = st.text(max_size=6) | st.sampled_from(["/", "..", "/..", "%2e", "%2F", ";", "?", "#", "\\", "\0", " ", "{id}"])


@given(
    endpoint=st.sampled_from(list(DatabricksEndpoint)),
    parts=st.lists(junk, max_size=6),
    separator=st.sampled_from("./"),
)
def test_an_allowed_path_has_the_segments_of_its_endpoint_whatever_a_name_holds(
    endpoint: DatabricksEndpoint, parts: list[str], separator: str
) -> None:
    identifier = separator.join(parts)
    path = endpoint.path(identifier)

    if is_allowed_endpoint(endpoint.method, path):
        sent_segments = quote(path).split("/")
        expected = endpoint.path(EXAMPLES.get(endpoint)).split("/")
        assert not {"", ".", ".."} & set(sent_segments)
        assert not set("?#;\\") & set(quote(path))
        if endpoint is not DatabricksEndpoint.GET_FILE:
            assert len(sent_segments) == len(expected)
            assert (sent_segments[0], sent_segments[-1]) == (expected[0], expected[-1])


@pytest.mark.parametrize("name", ["main.default.churn", "a.b.größe-100%", "a.b.'x'", "a.b.c\\d", "a.b.\xa0"])
def test_names_that_databricks_allows_are_accepted(name: str) -> None:
    assert is_unity_catalog_name(name)
    assert is_allowed_endpoint("GET", f"{MODELS}/{name}/versions")
