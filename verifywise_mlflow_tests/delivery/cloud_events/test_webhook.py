"""Events reach a webhook at least once, and in order for each version, even if the webhook fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

import verifywise_mlflow.delivery.http_post as http_post
from verifywise_mlflow.cli import app
from verifywise_mlflow.delivery.cloud_events.signature import signature_headers
from verifywise_mlflow.delivery.cloud_events.webhook import Webhook
from verifywise_mlflow.delivery.drain import MAX_TRIES, Drain
from verifywise_mlflow.persistence.repositories import delivery_events, delivery_outbox
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.delivery.cloud_events.webhooks import (
    CHURN,
    FRAUD,
    NOON,
    PATH_SECRET,
    SECRET,
    accept,
    drain,
    in_turn,
    posted,
    write_events,
)
from verifywise_mlflow_tests.delivery.event_checks import check_event
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
)
from verifywise_mlflow_tests.support.syncing import rows


def test_events_arrive_signed_in_order_once(store: Store, webhook: Callable[..., Webhook]) -> None:
    with hostile_server(accept) as server:
        hook = webhook(server, headers={"Authorization": "env:HOOK_SECRET"})
        write_events(store, hook, CHURN, "Staging", "Production")
        write_events(store, hook, FRAUD, "Archived")

        first, second = drain(store, hook), drain(store, hook)

    assert posted(server) == [("churn", "Staging"), ("churn", "Production"), ("fraud", "Archived")]
    assert (first.outcome, first.counts) == ("delivered", {"events posted": 3})
    assert second.outcome == "nothing due"
    assert rows(store, "delivery_events", "event_id") == []
    for request in server.requests:
        headers, event = request.headers, check_event(request.body)
        assert request.method == "POST"
        assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert headers["authorization"] == SECRET
        sent_at = int(headers["webhook-timestamp"])
        signed = signature_headers(event["id"], request.body, sent_at, [SECRET])
        assert headers["webhook-signature"] == signed["webhook-signature"]
        assert headers["webhook-id"] == event["id"]
    (entry,) = [row for row in rows(store, "audit_entries") if row["kind"] == "delivery"]
    assert SECRET not in str(entry)
    assert PATH_SECRET not in str(entry)


def test_a_retry_sends_the_same_bytes_and_keeps_the_order(store: Store, webhook: Callable[..., Webhook]) -> None:
    with hostile_server(in_turn(make_response(b"", 204), make_response(b"", 500))) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Staging", "Production", "Archived")
        write_events(store, hook, FRAUD, "Staging")

        first = drain(store, hook)
        second = drain(store, hook, NOON + timedelta(hours=1))

    assert first.versions == {"failed": 1, "delivered": 1}
    assert second.outcome == "delivered"
    assert posted(server) == [
        ("churn", "Staging"),
        ("churn", "Production"),  # refused, so the next events of this version wait
        ("fraud", "Staging"),
        ("churn", "Production"),
        ("churn", "Archived"),
    ]
    refused, repeated = server.requests[1], server.requests[3]
    assert repeated.body == refused.body
    assert repeated.headers["webhook-id"] == refused.headers["webhook-id"]


def test_an_event_whose_acceptance_got_lost_is_sent_again_with_its_id(
    store: Store, webhook: Callable[..., Webhook], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang_once(server: HostileServer, request: ReceivedRequest) -> bytes:
        if len(server.requests) == 1:
            server.hang()
        return make_response(b"", 204)

    with hostile_server(hang_once) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Production")

        with monkeypatch.context() as impatient:
            impatient.setattr(http_post, "RESPONSE_TIMEOUT_S", 0.2)
            first = drain(store, hook)
        second = drain(store, hook, NOON + timedelta(hours=1))

    assert (first.outcome, first.reason) == (
        "stopped",
        "the webhook siem did not respond: no response in time",
    )
    assert second.counts == {"events posted": 1}
    accepted_unheard, repeated = server.requests
    assert accepted_unheard.body == repeated.body


def test_a_process_that_is_killed_after_the_acceptance_repeats_the_event(
    store: Store, webhook: Callable[..., Webhook], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile_server(accept) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Staging", "Production")
        with monkeypatch.context() as dying:
            dying.setattr(delivery_events, "remove", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                drain(store, hook)

        report = drain(store, hook)

    assert report.counts == {"events posted": 2}
    assert posted(server) == [("churn", "Staging"), ("churn", "Staging"), ("churn", "Production")]
    assert server.requests[0].body == server.requests[1].body


def test_a_refused_event_is_parked_after_its_tries_and_other_versions_go_on(
    store: Store, webhook: Callable[..., Webhook]
) -> None:
    def refuse_churn(server: HostileServer, request: ReceivedRequest) -> bytes:
        return make_response(b"no such project", 422 if b'"model":"churn"' in request.body else 202)

    with hostile_server(refuse_churn) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Staging", "Production")
        write_events(store, hook, FRAUD, "Staging")
        for hour in range(MAX_TRIES + 2):
            drain(store, hook, NOON + timedelta(hours=hour))

    assert posted(server) == [("churn", "Staging"), ("fraud", "Staging"), *[("churn", "Staging")] * (MAX_TRIES - 1)]
    with store.begin("acme") as session:
        assert delivery_outbox.summary(session, hook.name).parked == 1
        (held,) = delivery_outbox.held_versions(session, hook.name, 10)
    assert (held.model_name, held.tries) == ("churn", MAX_TRIES)
    assert held.reason == "the webhook siem responded with 422. It does not accept the event."
    assert len(rows(store, "delivery_events", "event_id")) == 2  # nothing was skipped


def test_a_rate_limit_stops_the_delivery_until_the_time_that_it_names(
    store: Store, webhook: Callable[..., Webhook]
) -> None:
    limited = make_response(b"", 429, headers={"Retry-After": "1800"})
    with hostile_server(in_turn(limited)) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Production")
        write_events(store, hook, FRAUD, "Production")

        first = drain(store, hook, datetime.now(UTC))
        assert first.versions == {"deferred": 2}
        assert not Drain(store, "acme", hook, now=lambda: datetime.now(UTC) + timedelta(minutes=20)).is_due()
        second = drain(store, hook, datetime.now(UTC) + timedelta(minutes=31))

    assert len(server.requests) == 3
    assert second.versions == {"delivered": 2}
    with store.begin("acme") as session:
        assert delivery_outbox.summary(session, hook.name).pending == 0


def test_a_server_that_fails_for_everything_is_asked_a_few_times_only(
    store: Store, webhook: Callable[..., Webhook]
) -> None:
    with hostile_server(lambda *_: make_response(b"", 500)) as server:
        hook = webhook(server)
        for number in range(1, 11):
            write_events(store, hook, ("churn", number), "Production")

        report = drain(store, hook)

    assert len(server.requests) == 3
    assert report.versions == {"failed": 3, "deferred": 7}
    assert report.reason == "the webhook siem responded with 500"


def test_a_plan_names_the_waiting_events_and_sends_nothing(store: Store, webhook: Callable[..., Webhook]) -> None:
    with hostile_server(accept) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Staging", "Production")
        drain_of = Drain(store, "acme", hook, now=lambda: NOON)

        plan = drain_of.plan()

    assert server.requests == []
    assert [(change.action, change.model_name, change.detail) for change in plan.changes] == [
        ("post event", "churn", "ai.verifywise.mlflow.version.stage-changed.v1")
    ] * 2


def test_the_command_shows_what_waits_and_why(
    store: Store,
    webhook: Callable[..., Webhook],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tenants.yaml").write_text(
        "tenants: {acme: {tracking_uri: 'https://mlflow.example', delivery: {webhooks: [{name: siem, "
        "url: env:HOOK_URL, signing_secrets: [env:HOOK_SECRET], allow_private_network: true}]}}}"
    )
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tmp_path / "tenants.yaml"))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    command = ["deliver", "run", "acme", "--target", "webhook:siem", "--retry-parked"]
    with hostile_server(lambda *_: make_response(b"", 422)) as server:
        write_events(store, webhook(server), CHURN, "Production")
        for _ in range(2):
            ran = CliRunner().invoke(app, command)
        status = CliRunner().invoke(app, ["deliver", "status", "acme", "--json"])

    assert "versions failed: 1" in ran.output
    target = json.loads(status.output)["targets"]["webhook:siem"]
    assert target["outbox"]["pending"] == 1
    (held,) = target["held"]
    assert held["reason"] == "the webhook siem responded with 422. It does not accept the event."
    assert PATH_SECRET not in ran.output + status.output
