"""``webhooks`` prints commands for MLflow's administrator, shows secrets only on request, and checks the result."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.connector.webhooks import MODEL_EVENTS, PROMPT_EVENTS
from verifywise_mlflow.demo.servers.mlflow_api import MlflowApi
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.webhooks.registration import Registration, SecretValues
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
    respond_with,
)
from verifywise_mlflow_tests.support.json_documents import check_document

LISTENER = "http://127.0.0.1:9480"
VALUES = SecretValues("a-path-that-nobody-can-guess", "a-secret-that-nobody-can-guess")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

runner = CliRunner()


@pytest.fixture
def acme(tenants_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tenant with webhooks."""
    monkeypatch.setenv("ACME_PATH", VALUES.path)
    monkeypatch.setenv("ACME_SECRET", VALUES.secret)
    document = yaml.safe_load(tenants_file.read_text())
    document["tenants"]["acme"]["webhooks"] = {"path": "env:ACME_PATH", "secret": "env:ACME_SECRET"}
    tenants_file.write_text(yaml.safe_dump(document))
    return tenants_file


def test_people_read_the_steps_without_a_secret(acme: Path) -> None:
    result = runner.invoke(app, ["webhooks", "acme", "--url", f"{LISTENER}/"])

    assert result.exit_code == 0, result.output
    assert "has webhooks for models and prompts." in result.output
    assert "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY" in result.output
    assert f'url="{LISTENER}/mlflow/" + os.environ["WEBHOOK_PATH"]' in result.output
    assert "WEBHOOK_SECRET: the value of env:ACME_SECRET" in result.output
    assert f"webhooks acme --check --url {LISTENER}" in result.output
    assert VALUES.path not in result.output
    assert VALUES.secret not in result.output


def test_programs_read_one_document(acme: Path) -> None:
    document = check_document(runner.invoke(app, ["webhooks", "acme", "--url", LISTENER, "--json"]).stdout)

    assert document["has_webhooks"] is True
    assert document["url_prefix"] == f"{LISTENER}/mlflow/"
    assert (document["path_reference"], document["secret_reference"]) == ("env:ACME_PATH", "env:ACME_SECRET")
    assert document["events"] == [*MODEL_EVENTS, *PROMPT_EVENTS]
    assert VALUES.secret not in json.dumps(document)


def test_the_values_are_shown_on_request_and_written_for_their_owner_alone(acme: Path, tmp_path: Path) -> None:
    program = tmp_path / "register.py"

    shown = runner.invoke(app, ["webhooks", "acme", "--show-secret"])
    written = runner.invoke(app, ["webhooks", "acme", "--output", str(program)])
    again = runner.invoke(app, ["webhooks", "acme", "--output", str(program)])

    assert VALUES.path in shown.output
    assert VALUES.secret in shown.output
    assert (written.exit_code, written.output) == (0, "")
    assert program.stat().st_mode & 0o777 == 0o600
    assert VALUES.secret in program.read_text()
    assert again.exit_code == 2
    assert "exists" in again.output


def test_new_secrets_differ_and_fit_the_listener(tenants_file: Path) -> None:
    documents = [json.loads(runner.invoke(app, ["webhooks", "acme", "--new-secrets", "--json"]).stdout) for _ in "12"]
    printed = runner.invoke(app, ["webhooks", "acme", "--new-secrets"])

    values = [value for document in documents for value in document.values()]
    assert len(set(values)) == 4
    assert all(40 <= len(value) <= 128 and value.isascii() for value in values)
    assert "webhooks: {path: env:ACME_WEBHOOK_PATH, secret: env:ACME_WEBHOOK_SECRET}" in printed.output


def test_a_tenant_without_webhooks_gets_the_next_step(tenants_file: Path) -> None:
    result = runner.invoke(app, ["webhooks", "acme"])

    assert result.exit_code == 2
    assert "--new-secrets" in result.output


@pytest.mark.parametrize(
    "url", ["listener.test", "ftp://listener.test", "https://ada:pw@listener.test", "https://x/?a"]
)
def test_an_unusable_address_is_refused(acme: Path, url: str) -> None:
    assert runner.invoke(app, ["webhooks", "acme", "--url", url]).exit_code == 2


def test_the_check_compares_and_shows_the_deliveries(acme: Path, tenant: Tenant, store: Store) -> None:
    with store.begin("acme") as session:
        change_hints.record_delivery(session, NOW, is_event=True)
        change_hints.record_missed(session, NOW + timedelta(hours=1))
        change_hints.record(session, [HintedObject(ObjectKind.MODEL, "churn", 3)], NOW)
    missing = runner.invoke(app, ["webhooks", "acme", "--check", "--url", LISTENER])
    workspace = tenant.workspace or ""
    registered = Registration("acme", tenant.tracking_uri, workspace, LISTENER, MODEL_EVENTS + PROMPT_EVENTS, VALUES)
    MlflowApi(tenant.tracking_uri, workspace).register_webhook(registered.document())

    found = runner.invoke(app, ["webhooks", "acme", "--check", "--url", LISTENER])
    document = check_document(runner.invoke(app, ["webhooks", "acme", "--check", "--json"]).stdout)

    assert missing.exit_code == 1
    assert "register one" in " ".join(missing.output.split())
    assert found.exit_code == 0, found.output
    assert "14 of 14 events are delivered" in found.output
    assert "2026-03-01 13:00:00" in found.output
    assert document["is_as_wanted"] is True
    assert document["deliveries"]["pending_hints"] == 1
    assert document["deliveries"]["last_missed_at"] == "2026-03-01T13:00:00Z"
    assert VALUES.path not in found.output + json.dumps(document)


def test_the_check_of_a_connection_says_whether_the_server_can_send_them(acme: Path) -> None:
    report = json.loads(runner.invoke(app, ["check", "acme", "--json"]).stdout)

    (webhooks,) = [tried for tried in report["tried"] if tried["what"] == "webhooks"]
    assert webhooks["outcome"] == "readable"
    assert "has webhooks for models and prompts; verifywise-mlflow webhooks acme --check" in webhooks["found"]


REFUSED = json_response({"error_code": "PERMISSION_DENIED", "message": "Permission denied"}, 403)
ABSENT = make_response("<html>Not Found</html>", 404, "text/html")


@pytest.mark.parametrize(
    ("version", "response", "exit_code", "sentence"),
    [
        ("3.17.2", REFUSED, 0, "MLflow lists webhooks for administrators only, and this account is none"),
        ("3.17.2", ABSENT, 1, "a proxy in front of it does not forward them"),
        ("3.1.4", REFUSED, 1, "MLflow 3.1.4 has no webhooks, MLflow 3.3 and later has: until then, polling goes on"),
    ],
)
def test_a_server_that_lists_nothing_gets_a_plain_sentence(
    version: str, response: bytes, exit_code: int, sentence: str, acme: Path
) -> None:
    respond = respond_with(response)

    def script(server: HostileServer, request: ReceivedRequest) -> bytes:
        if request.target == "/version":
            return make_response(version, content_type="text/plain")
        if request.target.endswith("/server-info"):
            return json_response({"store_type": "SqlStore", "workspaces_enabled": False})
        return respond(server, request)

    with hostile_server(script) as server:
        document = yaml.safe_load(acme.read_text())
        document["tenants"]["acme"] |= {"tracking_uri": server.uri, "workspace": None}
        acme.write_text(yaml.safe_dump(document))

        result = runner.invoke(app, ["webhooks", "acme", "--check"])

    assert result.exit_code == exit_code, result.output
    assert sentence in " ".join(result.output.split())
