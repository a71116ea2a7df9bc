"""A webhook at a server of the tests, its events, and what the server received."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from verifywise_mlflow.delivery.cloud_events.webhook import Webhook
from verifywise_mlflow.delivery.drain import Drain, DrainReport
from verifywise_mlflow.persistence.repositories import delivery_events, delivery_outbox
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_events.event import VersionEvent, cloud_event
from verifywise_mlflow.tenants.delivery.event_type import EventType
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    make_response,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

PATH_SECRET = "T0KEN-in-the-path"

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

CHURN, FRAUD = ("churn", 1), ("fraud", 1)

Respond = Callable[[HostileServer, ReceivedRequest], Iterator[bytes] | bytes]


def accept(server: HostileServer, request: ReceivedRequest) -> bytes:
    return make_response(b"", 204)


def in_turn(*responses: bytes) -> Respond:
    """Return a script that sends the responses in turn, and then accepts every request."""
    remaining = list(responses)
    return lambda *_: remaining.pop(0) if remaining else make_response(b"", 204)


def write_events(store: Store, hook: Webhook, key: Key, *stages: str, at: datetime = NOON) -> None:
    """Write an event for each stage, as a sync does, in one transaction."""
    details = [{"previous": None, "stage": stage, "happened_at": None} for stage in stages]
    with store.begin("acme") as session:
        bodies = [
            cloud_event(
                VersionEvent(EventType.STAGE_CHANGED, *key, detail, f"stage: none → {detail['stage']}"),
                tenant_id="acme",
                sync_id="s1",
                seen_at=at,
                page_url="https://mlflow.example/",
            )
            for detail in details
        ]
        delivery_events.append(session, hook.name, [(key, body) for body in bodies], at)
        delivery_outbox.enqueue(session, [hook.name], [key], cause="events", sync_id="s1", now=at)


def drain(store: Store, hook: Webhook, at: datetime = NOON) -> DrainReport:
    return Drain(store, "acme", hook, now=lambda: at).run()


def posted(server: HostileServer) -> list[tuple[str, str]]:
    """Return the model and the stage of each event that arrived."""
    events: list[dict[str, Any]] = [json.loads(request.body) for request in server.requests]
    return [(event["data"]["model"], event["data"]["stage"]) for event in events]
