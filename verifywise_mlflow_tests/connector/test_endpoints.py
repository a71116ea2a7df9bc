from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifywise_mlflow.connector.endpoints import ReadCall, is_read_call
from verifywise_mlflow.http.client import Transport
from verifywise_mlflow.http.errors import NotAReadCallError
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow_tests.http.hostile_server import answer, hostile_server, serving

KNOWN = [(call.method, call.path("m-1" if "{id}" in call.path() else None)) for call in ReadCall]


@pytest.mark.parametrize(("method", "path"), KNOWN)
def test_every_call_on_the_list_is_a_read_call(method: str, path: str) -> None:
    assert is_read_call(method, path)


def test_the_list_holds_get_and_the_searches_only() -> None:
    posts = {path for method, path in KNOWN if method != "GET"}

    assert {method for method, _ in KNOWN} == {"GET", "POST"}
    assert all(path.endswith("/search") for path in posts)


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
NEARLY = [
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
]


@pytest.mark.parametrize(("method", "path"), WRITES + NEARLY)
def test_what_is_nearly_on_the_list_is_not_on_it(method: str, path: str) -> None:
    assert not is_read_call(method, path)


paths = st.text(max_size=80) | st.builds(
    lambda known, junk, at: known[:at] + junk + known[at:],
    st.sampled_from([path for _, path in KNOWN]),
    st.sampled_from(["/", "..", "/../", "%2e", "%2F", ";", "?", "#", "\n", "\0", " ", "A", "é"]) | st.text(max_size=4),
    st.integers(0, 60),
)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "get"]) | st.text(max_size=8), path=paths
)
def test_whatever_the_method_and_path_only_a_line_of_the_list_passes(method: str, path: str) -> None:
    identifiers = re.sub(r"(?<=logged-models/)(?!search$)[A-Za-z0-9_-]{1,128}(?=$|/)", "m-1", path)

    assert is_read_call(method, path) <= ((method, identifiers) in KNOWN)


@pytest.mark.parametrize(
    "identifier", ["../runs", "m/../../users", "a?b", "", "m 1", "é", "m-1/artifacts/directories/x"]
)
def test_a_call_that_is_not_on_the_list_never_leaves_the_process(identifier: str) -> None:
    with hostile_server(serving(answer())) as server:
        transport = Transport(ConnectionSettings(server.uri, allow_private_network=True))

        with pytest.raises(NotAReadCallError, match="it was not sent"):
            transport.get_json(ReadCall.GET_LOGGED_MODEL, identifier=identifier)

    assert server.asked == []
    assert transport.traffic.requests == 0
