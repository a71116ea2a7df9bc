"""An administrator runs the printed text on a real MLflow server: the webhook is registered, signs and delivers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import mlflow
import pytest
import urllib3

from verifywise_mlflow.connector.webhooks import MODEL_EVENTS, PROMPT_EVENTS, list_webhooks
from verifywise_mlflow.listener.signature import delivery_headers, is_genuine
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.webhooks.check import check_webhooks
from verifywise_mlflow.services.webhooks.comparison import WantedWebhook, compare
from verifywise_mlflow.services.webhooks.registration import Registration, SecretValues
from verifywise_mlflow.services.webhooks.support import read_support
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.hostile_server import HostileServer, hostile_server, make_response, respond_with

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EVENTS = MODEL_EVENTS + PROMPT_EVENTS
VALUES = SecretValues("a-path-that-nobody-can-guess", "a-secret-that-nobody-can-guess")


@pytest.fixture
def listener() -> Iterator[HostileServer]:
    """A server that accepts each delivery and remembers it."""
    with hostile_server(respond_with(make_response("Accepted.", 202, "text/plain"))) as server:
        yield server


@pytest.fixture
def registration(tenant: Tenant, listener: HostileServer) -> Registration:
    return Registration("acme", tenant.tracking_uri, tenant.workspace, listener.uri, EVENTS)


@pytest.fixture
def webhooks(monkeypatch: pytest.MonkeyPatch) -> Webhooks:
    """The tenant's section, whose secrets are also the administrator's variables."""
    monkeypatch.setenv("WEBHOOK_PATH", VALUES.path)
    monkeypatch.setenv("WEBHOOK_SECRET", VALUES.secret)
    return Webhooks.model_validate({"path": "env:WEBHOOK_PATH", "secret": "env:WEBHOOK_SECRET"})


def run(program: str) -> None:
    try:
        exec(compile(program, "printed.py", "exec"), {})  # the text that we print
    finally:
        mlflow.set_workspace(None)


def assert_delivered(listener: HostileServer) -> None:
    (request,) = listener.requests
    headers = delivery_headers(request.headers)
    assert request.target == f"/mlflow/{VALUES.path}"
    assert headers is not None
    assert is_genuine(headers, request.body, [VALUES.secret.encode()])


def test_the_printed_program_registers_the_webhook_and_the_check_finds_it(
    registration: Registration,
    tenant: Tenant,
    webhooks: Webhooks,
    listener: HostileServer,
    store: Store,
    capsys: pytest.CaptureFixture[str],
) -> None:
    support = read_support(tenant)
    before = check_webhooks(tenant, webhooks, store, support, listener.uri, NOW)

    run(registration.python())

    after = check_webhooks(tenant, webhooks, store, support, listener.uri, NOW)
    assert "success=True" in capsys.readouterr().out
    assert_delivered(listener)
    assert support.events == EVENTS
    assert [before.comparison and [finding.kind for finding in before.comparison.findings]] == [["missing"]]
    assert after.is_as_wanted, after
    assert after.deliveries.status.last_delivery_at is None  # ours is not the listener


def test_the_printed_curl_commands_do_the_same(
    registration: Registration, tenant: Tenant, webhooks: Webhooks, listener: HostileServer
) -> None:
    create, insert_here, test = registration.curl().partition("# The response has the webhook_id. Insert it here:\n")
    assert insert_here
    created = shell(create)
    (webhook,) = list_webhooks(connection_settings(tenant)).rows

    tested = shell(test.replace("WEBHOOK_ID", webhook.webhook_id))

    assert webhook.webhook_id in created
    assert '"success": true' in tested
    assert_delivered(listener)
    assert compare([webhook], WantedWebhook(VALUES.path, EVENTS, listener.uri)).findings == ()


def test_the_texts_have_the_secrets_only_if_their_values_are_given(registration: Registration) -> None:
    hidden, shown = registration, replace(registration, values=VALUES)

    for text in (hidden.python(), hidden.curl()):
        assert VALUES.path not in text
        assert VALUES.secret not in text
    for text in (shown.python(), shown.curl()):
        assert VALUES.path in text
        assert VALUES.secret in text
        assert "WEBHOOK_PATH" not in text


def test_mlflow_lists_no_secret(registration: Registration, tenant: Tenant, webhooks: Webhooks) -> None:
    run(replace(registration, values=VALUES).python())

    response = urllib3.request(
        "GET",
        f"{tenant.tracking_uri}/api/2.0/mlflow/webhooks",
        headers={"X-MLFLOW-WORKSPACE": tenant.workspace or ""},
    )

    assert VALUES.path.encode() in response.data  # in the URL
    assert VALUES.secret.encode() not in response.data


def shell(command: str) -> str:
    process = subprocess.run(["/bin/sh", "-ec", command], capture_output=True, text=True, timeout=60, check=True)
    return process.stdout
