"""Imitates a Databricks workspace: replays answers of the shapes that Databricks documents (databricks_responses).

No live Databricks workspace was asked, neither for these answers nor by these tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from verifywise_mlflow.connector.databricks.reader import DatabricksReader, RegistryKind
from verifywise_mlflow.http.auth import StaticHeaders
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.http.hostile_server import HostileServer, ReceivedRequest, hostile_server, make_response

ANSWERS = Path(__file__).parent / "databricks_responses"

_SIZES_AND_ORDERS = {"max_results", "order_by", "view_type"}

NO_SUCH_CALL = make_response(json.dumps({"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"}), 404)


@dataclass(frozen=True, slots=True)
class Question:
    """A question as a test may want to look at it."""

    path: str
    """As it was sent, percent-encoded."""
    query: Mapping[str, object]
    """Parameters, or the body's fields."""

    @classmethod
    def of(cls, asked: ReceivedRequest) -> Question:
        url = urlsplit(asked.target)
        parameters = {key: values if len(values) > 1 else values[0] for key, values in parse_qs(url.query).items()}
        return cls(url.path, parameters | json.loads(asked.body or b"{}"))

    @property
    def plain(self) -> tuple[str, str]:
        """What an answer is found by."""
        query = {key: value for key, value in self.query.items() if key not in _SIZES_AND_ORDERS}
        return self.path, json.dumps(query, sort_keys=True)


def error(status: int, code: str, message: str = "said the server", **headers: str) -> bytes:
    """Return an error in Databricks' form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_response(json.dumps({"error_code": code, "message": message}), status, headers=named)


@dataclass(slots=True)
class Workspace:
    """What is answered to which question; one that is not there is one that Databricks does not know."""

    answers: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    @classmethod
    def recorded(cls, *names: str) -> Workspace:
        """Return a workspace that replays the files of these names."""
        workspace = cls()
        for name in names:
            for exchange in json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))["exchanges"]:
                body = exchange["text"] if "text" in exchange else json.dumps(exchange["answer"])
                kind = "application/octet-stream" if "text" in exchange else "application/json"
                workspace.say(
                    exchange["path"], exchange["query"], make_response(body, exchange.get("status", 200), kind)
                )
        return workspace

    def say(self, path: str, query: Mapping[str, object], *sent: bytes | Mapping[str, object]) -> None:
        """Answer a question so, one answer after the other and the last one for ever, whatever was recorded for it."""
        self.answers[Question(path, query).plain] = [
            one if isinstance(one, bytes) else make_response(json.dumps(one)) for one in sent
        ]

    def __call__(self, _server: HostileServer, asked: ReceivedRequest) -> bytes:
        left = self.answers.get(Question.of(asked).plain, [NO_SUCH_CALL])
        return left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def reading(
    workspace: Workspace, registry: RegistryKind = "unity_catalog", catalogs: tuple[str, ...] = (), attempts: int = 1
) -> Iterator[tuple[DatabricksReader, HostileServer]]:
    """Give a reader of the workspace, and the server that keeps what was asked."""
    with hostile_server(workspace) as server:
        settings = ConnectionSettings(
            server.uri,
            credentials=lambda: StaticHeaders({"Authorization": "Bearer dapi-secret"}),
            allow_private_network=True,
            limits=Limits(max_attempts=attempts, request_timeout_seconds=5, max_pages=20),
        )
        with closing(DatabricksReader(settings, registry, catalogs)) as reader:
            yield reader, server


def questions(server: HostileServer, ending: str = "") -> list[Question]:
    """Return what was asked of the paths that end so."""
    return [question for question in map(Question.of, server.requests) if question.path.endswith(ending)]
