"""Connections stay open: a request costs no new connection and no new TLS handshake."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.support.certificate_authorities import Authority, make_authority
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)

CONCURRENT = 3


def respond(server: HostileServer, request: ReceivedRequest) -> bytes:
    if "runs/get" in request.target:
        return json_response({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}, 404)
    if "get-artifact" in request.target:
        return make_response(b"x" * 100_000, content_type="application/octet-stream")
    server.hang(0.005)
    return json_response({})


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Iterator[HostileServer]:
    with hostile_server(respond, authority.server_context()) as server:
        yield server


def client_of(server: HostileServer, authority: Authority) -> RestClient:
    return RestClient(
        ConnectionSettings(
            base_uri=server.uri,
            allow_private_network=True,
            ca_bundle=authority.certificate,
            limits=Limits(max_concurrent_requests=CONCURRENT),
        )
    )


def send_each_kind(client: RestClient) -> None:
    client.get_json(MlflowEndpoint.SEARCH_MODELS)
    client.post_json(MlflowEndpoint.SEARCH_RUNS, {})
    with suppress(HttpError):
        client.get_json(MlflowEndpoint.GET_RUN, {"run_id": "a"})
    with client.stream(MlflowEndpoint.GET_RUN_ARTIFACT, {"run_id": "a", "path": "b"}, max_bytes=200_000) as chunks:
        assert sum(map(len, chunks)) == 100_000


def test_requests_one_after_the_other_share_a_connection(server: HostileServer, authority: Authority) -> None:
    with closing(client_of(server, authority)) as client:
        for _ in range(5):
            send_each_kind(client)

    assert (len(server.requests), server.connections) == (20, 1), "responses with errors leave it open, too"


def test_requests_at_the_same_time_have_a_connection_each_and_keep_it(
    server: HostileServer, authority: Authority
) -> None:
    with closing(client_of(server, authority)) as client, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: send_each_kind(client), range(20)))

    assert len(server.requests) == 80
    assert server.connections <= CONCURRENT
