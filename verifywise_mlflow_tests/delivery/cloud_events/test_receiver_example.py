"""The receiver and the tickets run as the guide prints them, with the requests that a webhook really sends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.delivery.cloud_events.signature import signature_headers
from verifywise_mlflow.delivery.cloud_events.webhook import CLOUD_EVENT
from verifywise_mlflow.delivery.http_post import EventConnection, Receiver, open_receiver
from verifywise_mlflow.http.errors import UnauthenticatedError
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.services.version_events.event import VersionEvent, cloud_event
from verifywise_mlflow.tenants.delivery.event_type import EventType
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECEIVER, TICKETS = code_blocks(read_page("how-to/receive-events.md"), "python")


def gap_event(event_type: EventType, verdict: str, severity: str = "high") -> str:
    gap: dict[str, Json] = {
        "rule_id": "owner",
        "title": "Every model has an owner.",
        "severity": severity,
        "verdict": verdict,
        "reason": "No owner is recorded.",
    }
    event = VersionEvent(event_type, "churn", 3, {"gaps": [gap]}, "1 gap")
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    return cloud_event(event, tenant_id="acme", sync_id="s1", seen_at=now, page_url="https://mlflow.example/churn/3")


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EventConnection, list[dict[str, Any]]]]:
    """The guide's receiver as a running server: a connection to it, and the events that it handled."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    example: dict[str, Any] = {"__name__": "receiver"}
    exec(RECEIVER, example)
    events: list[dict[str, Any]] = []
    example["handle"] = events.append
    example["Receiver"].log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), example["Receiver"]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        settings = ConnectionSettings(url, allow_private_network=True)
        with open_receiver(Receiver(url, "the example", settings, {})) as connection:
            yield connection, events
        server.shutdown()
        thread.join()


def post(connection: EventConnection, body: str, signed: str | None = None, age: int = 0) -> None:
    headers = signature_headers(json.loads(body)["id"], (signed or body).encode(), int(time.time()) - age, [SECRET])
    connection.post(body.encode(), {"Content-Type": CLOUD_EVENT, **headers})


def test_the_receiver_accepts_what_is_ours_once(handled: tuple[EventConnection, list[dict[str, Any]]]) -> None:
    connection, events = handled
    body = gap_event(EventType.GAPS_OPENED, "fail")

    for _ in range(2):
        post(connection, body)

    assert events == [json.loads(body)]


def test_the_receiver_refuses_what_is_forged_or_old(handled: tuple[EventConnection, list[dict[str, Any]]]) -> None:
    connection, events = handled
    body = gap_event(EventType.GAPS_OPENED, "fail")

    with pytest.raises(UnauthenticatedError):
        post(connection, body.replace("churn", "fraud"), signed=body)
    with pytest.raises(UnauthenticatedError):
        post(connection, body, age=600)

    assert events == []


def test_tickets_are_opened_once_and_commented_when_the_gap_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    issues: list[dict[str, Any]] = []
    comments: list[tuple[str, str]] = []

    def jira(server: HostileServer, request: ReceivedRequest) -> bytes:
        path, query = urlsplit(request.target).path, parse_qs(urlsplit(request.target).query)
        assert request.headers["authorization"] == "Bearer t0ken"
        if path == "/rest/api/2/search":
            found = [issue for issue in issues if query["jql"] == [f'labels = "{issue["fields"]["labels"][0]}"']]
            return json_response({"issues": [{"key": issue["key"]} for issue in found]})
        if path == "/rest/api/2/issue":
            issues.append({"key": f"GOV-{len(issues) + 1}", **json.loads(request.body)})
            return json_response({"key": issues[-1]["key"]}, 201)
        comments.append((path, json.loads(request.body)["body"]))
        return json_response({}, 201)

    with hostile_server(jira) as server:
        monkeypatch.setenv("JIRA_URL", server.uri)
        monkeypatch.setenv("JIRA_TOKEN", "t0ken")
        example: dict[str, Any] = {}
        exec(TICKETS, example)
        handle: Callable[[Any], None] = example["handle"]
        for _ in range(2):
            handle(json.loads(gap_event(EventType.GAPS_OPENED, "fail")))
        handle(json.loads(gap_event(EventType.GAPS_OPENED, "fail", severity="low")))
        handle(json.loads(gap_event(EventType.GAPS_CLOSED, "pass")))

    (issue,) = issues
    assert issue["fields"]["summary"] == "churn 3: Every model has an owner."
    assert issue["fields"]["description"] == "No owner is recorded.\n\nhttps://mlflow.example/churn/3"
    assert comments == [("/rest/api/2/issue/GOV-1/comment", "Closed: No owner is recorded.")]
