"""A fake Databricks workspace that replays responses in the documented form (folder databricks_responses).

Neither the responses nor the tests use a live Databricks workspace.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from verifywise_mlflow.connector.databricks.reader import DatabricksReader, RegistryKind
from verifywise_mlflow.http.request_auth import StaticHeaders
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, hostile_server, make_response

RECORDINGS = Path(__file__).parent / "databricks_responses"

_SIZES_AND_ORDERS = {"max_results", "order_by", "view_type"}

UC_MODELS = "/api/2.1/unity-catalog/models"
UC_MODEL = "/api/2.0/mlflow/unity-catalog/registered-models/get"
UC_VERSION = "/api/2.0/mlflow/unity-catalog/model-versions/get"

ENDPOINT_NOT_FOUND = make_response(json.dumps({"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"}), 404)


@dataclass(frozen=True, slots=True)
class DatabricksRequest:
    """A request in a form that tests can compare."""

    path: str
    """Percent-encoded, as sent."""
    query: Mapping[str, object]
    """Query parameters, or the fields of the body."""

    @classmethod
    def from_received(cls, received: ReceivedRequest) -> DatabricksRequest:
        url = urlsplit(received.target)
        parameters = {key: values if len(values) > 1 else values[0] for key, values in parse_qs(url.query).items()}
        return cls(url.path, parameters | json.loads(received.body or b"{}"))

    @property
    def key(self) -> tuple[str, str]:
        """The key of its response: path and query, without page sizes and orders."""
        query = {key: value for key, value in self.query.items() if key not in _SIZES_AND_ORDERS}
        return self.path, json.dumps(query, sort_keys=True)


def uc_row(full_name: str, **fields: object) -> dict[str, object]:
    """Return a model as Unity Catalog lists it."""
    catalog, schema, name = full_name.split(".", 2)
    return {"name": name, "catalog_name": catalog, "schema_name": schema, "full_name": full_name, **fields}


def error_response(status: int, code: str, message: str = "the server's message", **headers: str) -> bytes:
    """Return an error in Databricks' form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_response(json.dumps({"error_code": code, "message": message}), status, headers=named)


@dataclass(slots=True)
class Workspace:
    """Responses by request; an unknown request gets Databricks' error for an unknown endpoint."""

    responses: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    @classmethod
    def from_recordings(cls, *names: str) -> Workspace:
        """Return a workspace that replays the files with these names."""
        workspace = cls()
        for name in names:
            for exchange in json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))["exchanges"]:
                body = exchange["text"] if "text" in exchange else json.dumps(exchange["response"])
                kind = "application/octet-stream" if "text" in exchange else "application/json"
                workspace.respond(
                    exchange["path"], exchange["query"], make_response(body, exchange.get("status", 200), kind)
                )
        return workspace

    def respond(self, path: str, query: Mapping[str, object], *responses: bytes | Mapping[str, object]) -> None:
        """Replace the responses to a request. They are sent in order, and the last response is repeated."""
        self.responses[DatabricksRequest(path, query).key] = [
            response if isinstance(response, bytes) else make_response(json.dumps(response)) for response in responses
        ]

    def __call__(self, _server: HostileServer, request: ReceivedRequest) -> bytes:
        remaining = self.responses.get(DatabricksRequest.from_received(request).key, [ENDPOINT_NOT_FOUND])
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]


@contextmanager
def open_databricks_reader(
    workspace: Workspace,
    registry: RegistryKind = "unity_catalog",
    catalogs: tuple[str, ...] = (),
    max_attempts: int = 1,
    max_rows: int = 1_000,
) -> Iterator[tuple[DatabricksReader, HostileServer]]:
    """Yield a reader of the workspace, and the server that records its requests."""
    with hostile_server(workspace) as server:
        settings = ConnectionSettings(
            server.uri,
            credentials=lambda: StaticHeaders({"Authorization": "Bearer dapi-secret"}),
            allow_private_network=True,
            limits=Limits(max_attempts=max_attempts, request_timeout_seconds=5, max_pages=20, max_rows=max_rows),
        )
        with closing(DatabricksReader(settings, registry, catalogs)) as reader:
            yield reader, server


def requests_to(server: HostileServer, ending: str = "") -> list[DatabricksRequest]:
    """Return the requests whose paths end with ``ending``."""
    return [
        request for request in map(DatabricksRequest.from_received, server.requests) if request.path.endswith(ending)
    ]
