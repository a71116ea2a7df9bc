"""What a webhook's receiver may do, and what it receives: addresses, TLS, secrets, long responses."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from verifywise_mlflow.delivery.cloud_events.webhook import Webhook
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
    write_events,
)
from verifywise_mlflow_tests.support.certificate_authorities import make_authority
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
)
from verifywise_mlflow_tests.support.syncing import rows


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
