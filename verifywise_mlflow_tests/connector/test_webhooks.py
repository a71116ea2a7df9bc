"""The list of a server's webhooks: complete, bounded, and without trust in its texts."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.connector.webhooks import (
    MAX_WEBHOOKS,
    MODEL_EVENTS,
    PROMPT_EVENTS,
    RegisteredWebhook,
    available_events,
    list_webhooks,
)
from verifywise_mlflow.http.errors import ForbiddenError, HttpError, InvalidResponseError, LimitExceededError
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow_tests.connector.rest_clients import SHORT_LIMITS
from verifywise_mlflow_tests.support.hostile_server import hostile_server, json_response, make_response, respond_with


@pytest.mark.parametrize(
    ("version", "events"),
    [
        ("2.22.5", ()),
        ("3.2.0", ()),
        ("3.3.0rc0", MODEL_EVENTS),
        ("3.4.0", MODEL_EVENTS),
        ("3.5.0", MODEL_EVENTS + PROMPT_EVENTS),
        ("3.17.2", MODEL_EVENTS + PROMPT_EVENTS),
        ("of the house", MODEL_EVENTS + PROMPT_EVENTS),
        (None, MODEL_EVENTS + PROMPT_EVENTS),
    ],
)
def test_the_events_are_those_of_the_release(version: str | None, events: tuple[str, ...]) -> None:
    assert available_events(version) == events


def row(webhook_id: str = "a", **fields: object) -> dict[str, object]:
    return {
        "webhook_id": webhook_id,
        "name": "verifywise-acme",
        "url": "https://listener.test/mlflow/p",
        "events": [{"entity": "MODEL_VERSION_TAG", "action": "SET"}],
        "status": "ACTIVE",
        **fields,
    }


def settings(uri: str) -> ConnectionSettings:
    return ConnectionSettings(uri, allow_private_network=True, limits=SHORT_LIMITS, workspace="team-a")


def listed(*responses: bytes) -> tuple[RegisteredWebhook, ...]:
    with hostile_server(respond_with(*responses)) as server:
        return list_webhooks(settings(server.uri)).rows


def test_the_list_is_read_in_the_tenants_workspace_and_needs_one_request() -> None:
    with hostile_server(respond_with(json_response({"webhooks": [row()]}))) as server:
        listing = list_webhooks(settings(server.uri))

    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/api/2.0/mlflow/webhooks?max_results=100")
    assert request.headers["x-mlflow-workspace"] == "team-a"
    assert [(webhook.events, webhook.is_active) for webhook in listing.rows] == [
        (frozenset({"model_version_tag.set"}), True)
    ]
    assert listing.is_complete


def test_a_later_page_is_read() -> None:
    first = json_response({"webhooks": [row("a"), row("b")], "next_page_token": "eyJvZmZzZXQiOiAyfQ=="})
    second = json_response({"webhooks": [row("b"), row("c")]})

    assert [webhook.webhook_id for webhook in listed(first, second)] == ["a", "b", "c"]


def test_unusable_fields_make_no_webhook_look_like_ours() -> None:
    rows = [row("a", url=7, events="all", status=None), row("b", events=[{"entity": "X"}, 5]), {"name": "no ID"}]

    webhooks = listed(json_response({"webhooks": rows}))

    assert [(webhook.webhook_id, webhook.is_active, webhook.events) for webhook in webhooks] == [
        ("a", False, frozenset()),
        ("b", True, frozenset({"x."})),
    ]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (make_response("<html>Not Found</html>", 404, "text/html"), EndpointNotFoundError),
        (json_response({"error_code": "PERMISSION_DENIED", "message": "Permission denied"}, 403), ForbiddenError),
        (json_response({"webhooks": [row()], "next_page_token": "again"}), InvalidResponseError),
        (json_response([]), InvalidResponseError),
        (make_response("{" * 60_000), HttpError),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error(response: bytes, error: type[HttpError]) -> None:
    with pytest.raises(error):
        listed(response)


def test_an_endless_list_is_cut_off() -> None:
    sent = 0

    def endless(*_: object) -> bytes:
        nonlocal sent
        sent += 1
        rows = [row(f"{sent}-{number}") for number in range(100)]
        return json_response({"webhooks": rows, "next_page_token": f"page {sent}"})

    with hostile_server(endless) as server, pytest.raises(LimitExceededError):
        list_webhooks(settings(server.uri))

    assert sent <= MAX_WEBHOOKS // 100 + 2
