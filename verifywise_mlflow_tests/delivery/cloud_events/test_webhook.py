"""Events reach a webhook at least once, in the order of their version, also if the webhook fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import verifywise_mlflow.delivery.http_post as http_post
from verifywise_mlflow.cli import app
from verifywise_mlflow.delivery.cloud_events.signature import signature_headers
from verifywise_mlflow.delivery.cloud_events.webhook import Webhook
from verifywise_mlflow.delivery.drain import MAX_TRIES, Drain, DrainReport
from verifywise_mlflow.persistence.repositories import delivery_events, delivery_outbox
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_events.event import VersionEvent, cloud_event
from verifywise_mlflow.tenants.delivery.event_type import EventType
from verifywise_mlflow.tenants.delivery.webhooks import WebhookSettings
from verifywise_mlflow_tests.delivery.event_checks import check_event
from verifywise_mlflow_tests.support.certificate_authorities import make_authority
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
)
from verifywise_mlflow_tests.support.syncing import rows

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PATH_SECRET = "T0KEN-in-the-path"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHURN, FRAUD = ("churn", 1), ("fraud", 1)
Respond = Callable[[HostileServer, ReceivedRequest], Iterator[bytes] | bytes]


def accept(server: HostileServer, request: ReceivedRequest) -> bytes:
    return make_response(b"", 204)


def in_turn(*responses: bytes) -> Respond:
    """Return a script that gives the responses in turn, and then accepts everything."""
    remaining = list(responses)
    return lambda *_: remaining.pop(0) if remaining else make_response(b"", 204)


@pytest.fixture
def webhook(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Webhook]:
    """Return a function that configures a webhook at a server."""

    def configure(server: HostileServer, **settings: object) -> Webhook:
        monkeypatch.setenv("HOOK_URL", f"{server.uri}/hooks/{PATH_SECRET}?key={PATH_SECRET}")
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        values = {"name": "siem", "url": "env:HOOK_URL", "signing_secrets": ["env:HOOK_SECRET"], **settings}
        values = {"allow_private_network": True, **values}
        return Webhook(store, "acme", WebhookSettings.model_validate(values))

    return configure


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
        ("churn", "Production"),  # refused, so what follows of this version waits
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
    assert held.reason == "the webhook siem responded with 422: it does not accept the event"
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


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 410])
def test_what_is_wrong_with_the_address_is_no_version_s_failure(
    store: Store, webhook: Callable[..., Webhook], status: int
) -> None:
    elsewhere = make_response(b"", status, headers={"Location": "/elsewhere"})
    with hostile_server(lambda *_: elsewhere) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Production")
        write_events(store, hook, FRAUD, "Production")

        report = drain(store, hook)

    assert len(server.requests) == 1  # no redirect is followed
    assert report.versions == {"deferred": 2}
    assert f"responded with {status}" in str(report.reason)


def test_an_endless_response_is_not_read(store: Store, webhook: Callable[..., Webhook]) -> None:
    def flood(server: HostileServer, request: ReceivedRequest) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for _ in range(1_000):
            yield b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

    with hostile_server(flood) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Production")

        report = drain(store, hook)

    assert report.counts == {"events posted": 1}


def test_a_private_address_is_refused_unless_the_settings_allow_it(
    store: Store, webhook: Callable[..., Webhook], tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    with hostile_server(accept, authority.server_context()) as server:
        hook = webhook(server, allow_private_network=False, tls={"ca_bundle": str(authority.certificate)})
        write_events(store, hook, CHURN, "Production")

        report = drain(store, hook)

    assert server.requests == []
    assert report.outcome == "stopped"
    assert report.reason == (
        "127.0.0.1 is at 127.0.0.1, a private, loopback or link-local address. "
        "If the webhook siem is meant to be there, set allow_private_network: true for it."
    )


def test_tls_is_verified(store: Store, webhook: Callable[..., Webhook], tmp_path: Path) -> None:
    ours, other = make_authority(tmp_path, "ours"), make_authority(tmp_path, "other")
    with hostile_server(accept, other.server_context()) as server:
        hook = webhook(server, tls={"ca_bundle": str(ours.certificate)})
        write_events(store, hook, CHURN, "Production")

        report = drain(store, hook)

    assert server.requests == []
    assert "certificate verify failed" in str(report.reason)


def test_no_secret_reaches_a_log_a_message_or_the_database(
    store: Store, webhook: Callable[..., Webhook], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    with hostile_server(in_turn(make_response(b"", 400), make_response(b"", 503))) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Production")
        reports = [drain(store, hook, NOON + timedelta(hours=hour)) for hour in range(3)]
        monkeypatch.setenv("HOOK_SECRET", "pasted-secret")
        write_events(store, hook, CHURN, "Archived")
        reports.append(drain(store, hook, NOON + timedelta(hours=4)))
        monkeypatch.setenv("HOOK_URL", f"https://user:{PATH_SECRET}@host.example/hook")
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        reports.append(drain(store, hook, NOON + timedelta(hours=5)))

    said = (
        caplog.text + repr(reports) + repr([rows(store, table, "1") for table in ("audit_trail", "delivery_targets")])
    )
    for secret in (PATH_SECRET, SECRET, SECRET.removeprefix("whsec_"), "pasted-secret"):
        assert secret not in said
    assert "the signing secret env:HOOK_SECRET cannot be used: it does not begin with whsec_" in str(reports[3].reason)
    assert "has no address of the form https://host/path without a user" in str(reports[4].reason)


def test_a_chat_system_gets_an_inert_text(store: Store, webhook: Callable[..., Webhook]) -> None:
    with hostile_server(accept) as server:
        hook = webhook(server, format="chat", signing_secrets=[])
        write_events(store, hook, ("<!channel> `[x](https://evil.example)`\x1b[2J", 7), "Production")

        drain(store, hook)

    (request,) = server.requests
    text = json.loads(request.body)["text"]
    assert text.startswith(
        "`2026-03-01 12:00:00Z acme &lt;!channel&gt; '[x](https://evil.example)'\\x1b[2J version 7: "
    )
    assert text.endswith("stage: none → Production`")
    assert request.headers["content-type"] == "application/json"
    assert "webhook-signature" not in request.headers


def test_a_check_sends_no_event(store: Store, webhook: Callable[..., Webhook]) -> None:
    with hostile_server(lambda *_: make_response(b"", 405)) as server:
        hook = webhook(server)
        write_events(store, hook, CHURN, "Production")

        (finding,) = hook.check()

    assert [request.method for request in server.requests] == ["OPTIONS"]
    assert (finding.works, finding.sentence) == (True, "it responded with 405 to OPTIONS; no event was sent")
    (unreachable,) = hook.check()
    assert not unreachable.works
    assert PATH_SECRET not in unreachable.sentence


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

    assert "1 versions failed" in ran.output
    target = json.loads(status.output)["targets"]["webhook:siem"]
    assert target["outbox"]["pending"] == 1
    (held,) = target["held"]
    assert held["reason"] == "the webhook siem responded with 422: it does not accept the event"
    assert PATH_SECRET not in ran.output + status.output
