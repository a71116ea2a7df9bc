"""The allow-list admits exactly the read-only endpoints, for any method and path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.errors import EndpointNotAllowedError
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow_tests.connector.allow_list import is_allowed_endpoint
from verifywise_mlflow_tests.support.hostile_server import hostile_server, make_response, respond_with

ALLOWED = [
    (endpoint.method, endpoint.path("m-1" if "{id}" in endpoint.path() else None)) for endpoint in MlflowEndpoint
]


@pytest.mark.parametrize(("method", "path"), ALLOWED)
def test_every_endpoint_on_the_list_is_allowed(method: str, path: str) -> None:
    assert is_allowed_endpoint(method, path)


def test_the_list_holds_only_get_endpoints_searches_and_a_count() -> None:
    posts = {path for method, path in ALLOWED if method != "GET"}

    assert {method for method, _ in ALLOWED} == {"GET", "POST"}
    assert {path for path in posts if not path.endswith("/search")} == {"api/3.0/mlflow/traces/metrics"}


WRITES = [
    ("POST", "api/2.0/mlflow/registered-models/create"),
    ("POST", "api/2.0/mlflow/model-versions/set-tag"),
    ("PATCH", "api/2.0/mlflow/model-versions/update"),
    ("DELETE", "api/2.0/mlflow/model-versions/delete"),
    ("POST", "api/2.0/mlflow/runs/delete"),
    ("POST", "api/2.0/mlflow/logged-models"),
    ("PATCH", "api/2.0/mlflow/logged-models/m-1"),
    ("DELETE", "api/2.0/mlflow/logged-models/m-1"),
    ("GET", "api/2.0/mlflow/users/get"),
]
NEAR_MISSES = [
    ("get", "version"),
    ("GET ", "version"),
    ("POST", "version"),
    ("GET", "/version"),
    ("GET", "version/"),
    ("GET", "Version"),
    ("GET", "version\n"),
    ("GET", "version?x=1"),
    ("GET", "version#x"),
    ("GET", "%76ersion"),
    ("GET", "versıon"),
    ("GET", "x/../version"),
    ("GET", "api/2.0/mlflow/runs/search"),
    ("POST", "api/2.0/mlflow/registered-models/search"),
    ("POST", "api/2x0/mlflow/runs/search"),
    ("POST", "api/2.0/mlflow/runs/search/../delete"),
    ("POST", "api/2.0/mlflow/runs//search"),
    ("GET", "api/2.0/mlflow/logged-models/"),
    ("GET", "api/2.0/mlflow/logged-models/{id}"),
    ("GET", "api/2.0/mlflow/logged-models/../runs/get"),
    ("GET", "api/2.0/mlflow/logged-models/m-1/../../runs"),
    ("GET", "api/2.0/mlflow/logged-models/m%2f1"),
    ("GET", "api/2.0/mlflow/logged-models/m-1\n"),
    ("GET", "api/2.0/mlflow/logged-models/" + "m" * 129),
    ("GET", "api/2.0/mlflow/logged-models/m-1/tags"),
    ("GET", "api/2.0/mlflow-artifacts/artifacts/1/.."),
    ("GET", "api/2.0/mlflow-artifacts/artifacts/1/%2e%2e"),
    ("GET", "api/2.0/mlflow-artifacts/artifacts/1/%2E%2E"),
    ("GET", "api/2.0/mlflow-artifacts/artifacts/1/a%2Fb"),
    ("GET", "api/2.0/mlflow-artifacts/artifacts/1/a%5Cb"),
]


@pytest.mark.parametrize(("method", "path"), WRITES + NEAR_MISSES)
def test_writes_and_near_misses_are_not_allowed(method: str, path: str) -> None:
    assert not is_allowed_endpoint(method, path)


paths = st.text(max_size=80) | st.builds(
    lambda path, junk, at: path[:at] + junk + path[at:],
    st.sampled_from([path for _, path in ALLOWED]),
    st.sampled_from(["/", "..", "/../", "%2e", "%2F", ";", "?", "#", "\n", "\0", " ", "A", "é"]) | st.text(max_size=4),
    st.integers(0, 60),
)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "get"]) | st.text(max_size=8), path=paths
)
def test_no_method_and_path_outside_the_list_is_allowed(method: str, path: str) -> None:
    # A GET of logged-models/search reads the logged model with that ID.
    is_search = method == "POST" and path.endswith("/search")
    identifiers = path if is_search else re.sub(r"(?<=logged-models/)[A-Za-z0-9_-]{1,128}(?=$|/)", "m-1", path)

    assert is_allowed_endpoint(method, path) <= ((method, identifiers) in ALLOWED)


@pytest.mark.parametrize(
    "identifier", ["../runs", "m/../../users", "a?b", "", "m 1", "é", "m-1/artifacts/directories/x"]
)
def test_a_request_outside_the_list_is_never_sent(identifier: str) -> None:
    with hostile_server(respond_with(make_response())) as server:
        client = RestClient(ConnectionSettings(server.uri, allow_private_network=True))

        with pytest.raises(EndpointNotAllowedError, match="the request was not sent"):
            client.get_json(MlflowEndpoint.GET_LOGGED_MODEL, identifier=identifier)

    assert server.requests == []
    assert client.traffic.requests == 0
