"""Readers of MLflow servers for tests, for real servers and for scripted servers whose pages a test states."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import parse_qs, urlsplit

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
)


def settings_for(uri: str, workspace: str | None = None) -> ConnectionSettings:
    return ConnectionSettings(
        uri,
        workspace=workspace,
        allow_private_network=True,
        limits=Limits(max_attempts=1, request_timeout_seconds=5, max_pages=20),
    )


class FakeListings:
    """A fake of MLflow's listings: a page for each path segment and page token."""

    def __init__(self, pages: dict[tuple[str, str], dict[str, object]]) -> None:
        self.pages = pages

    def __call__(self, _server: HostileServer, request: ReceivedRequest) -> bytes:
        url = urlsplit(request.target)
        if url.path == "/version":
            return make_response("3.17.2", content_type="text/plain")
        if url.path.endswith("server-info"):
            return json_response({"store_type": "SqlStore", "workspaces_enabled": False})
        query = parse_qs(url.query)
        if "filter" in query:
            return json_response({})
        token = query.get("page_token", [""])[0] or json.loads(request.body or b"{}").get("page_token", "")
        return json_response(self.pages.get((url.path.split("/")[-2], token), {}))


@contextmanager
def open_reader(pages: dict[tuple[str, str], dict[str, object]]) -> Iterator[tuple[MlflowReader, HostileServer]]:
    with hostile_server(FakeListings(pages)) as server, closing(MlflowReader(settings_for(server.uri))) as reader:
        yield reader, server


def versions(*numbers: int) -> list[dict[str, object]]:
    return [{"name": "m", "version": str(number), "source": "s3://b"} for number in numbers]
