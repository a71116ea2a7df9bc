"""A real MLflow server delivers each kind of event, and its test calls, to a listener on a real Postgres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from mlflow import MlflowClient
from mlflow.entities.webhook import Webhook

from verifywise_mlflow.connector.webhooks import MODEL_EVENTS, PROMPT_EVENTS
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import ObjectKind, WebhookStatus
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.registry import create_workspace
from verifywise_mlflow_tests.support.running_listener import (
    RunningListener,
    WebhookSecrets,
    await_that,
    new_secrets,
    running_listener,
    write_tenants,
)
from verifywise_mlflow_tests.support.webhook_events import webhook_events

EVENTS = webhook_events((*MODEL_EVENTS, *PROMPT_EVENTS))
MODEL, PROMPT = ObjectKind.MODEL, ObjectKind.PROMPT


@dataclass(frozen=True, slots=True)
class Delivering:
    """An MLflow server with a webhook, the listener that it delivers to, and the database."""

    client: MlflowClient
    webhook: Webhook
    listener: RunningListener
    secrets: WebhookSecrets
    store: Store

    def hints(self) -> set[tuple[ObjectKind, str, int]]:
        """Return the hints, and remove them."""
        with self.store.begin("acme") as session:
            hints = change_hints.pending(session)
            change_hints.settle(session, hints)
        return {(hint.object.kind, hint.object.name, hint.object.version_number) for hint in hints}

    def status(self) -> WebhookStatus:
        """Return whether the webhooks are alive."""
        with self.store.begin("acme") as session:
            return change_hints.status(session)

    def deliveries(self) -> int:
        """Return how many deliveries have arrived."""
        with self.store.begin_shared() as connection:
            return int(
                connection.exec_driver_sql("SELECT count(*) FROM verifywise_mlflow.webhook_deliveries").scalar_one()
            )

    def hints_after(self, change: Callable[[], object], deliveries: int = 1) -> set[tuple[ObjectKind, str, int]]:
        """Change something in MLflow, wait for its deliveries, and return and remove their hints."""
        expected = self.deliveries() + deliveries
        change()
        await_that(lambda: self.deliveries() >= expected)
        return self.hints()


@pytest.fixture(scope="module")
def delivering(
    postgres: EmbeddedPostgres, mlflow_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Delivering]:
    of_acme = new_secrets()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        workspace = create_workspace(mlflow_uri, patch)
        file = tmp_path_factory.mktemp("listener") / "tenants.yaml"
        write_tenants(file, {"acme": of_acme}, patch, workspace=workspace)
        store = stack.enter_context(Store(stack.enter_context(migrated_database(postgres))))
        listener = stack.enter_context(running_listener(store))
        client = MlflowClient(mlflow_uri)
        webhook = client.create_webhook("governance", listener.address(of_acme), [*EVENTS], secret=of_acme.secret)
        yield Delivering(client, webhook, listener, of_acme, store)


def test_each_change_of_a_model_leaves_its_hint(delivering: Delivering) -> None:
    client, hints_after = delivering.client, delivering.hints_after

    assert hints_after(lambda: client.create_registered_model("churn")) == {(MODEL, "churn", 0)}
    assert hints_after(lambda: client.create_model_version("churn", "s3://a/b")) == {(MODEL, "churn", 1)}
    of_version = {(MODEL, "churn", 1)}
    assert hints_after(lambda: client.set_model_version_tag("churn", "1", "owner", "Ada")) == of_version
    assert hints_after(lambda: client.delete_model_version_tag("churn", "1", "owner")) == of_version
    both = of_version | {(MODEL, "churn", 0)}
    assert hints_after(lambda: client.set_registered_model_alias("churn", "champion", "1")) == both
    assert hints_after(lambda: client.delete_registered_model_alias("churn", "champion")) == {(MODEL, "churn", 0)}


def test_each_change_of_a_prompt_leaves_its_hint(delivering: Delivering) -> None:
    client, hints_after = delivering.client, delivering.hints_after
    itself, version = {(PROMPT, "greeting", 0)}, {(PROMPT, "greeting", 1)}

    created = hints_after(lambda: client.register_prompt("greeting", "Hello {{name}}!"), deliveries=3)

    assert created == itself | version
    assert hints_after(lambda: client.set_prompt_tag("greeting", "owner", "Ada")) == itself
    assert hints_after(lambda: client.delete_prompt_tag("greeting", "owner")) == itself
    assert hints_after(lambda: client.set_prompt_version_tag("greeting", "1", "reviewer", "Grace")) == version
    assert hints_after(lambda: client.delete_prompt_version_tag("greeting", "1", "reviewer")) == version
    assert hints_after(lambda: client.set_prompt_alias("greeting", "live", 1)) == itself | version
    assert hints_after(lambda: client.delete_prompt_alias("greeting", "live")) == itself


def test_mlflows_test_call_is_a_sign_of_life_for_each_event(delivering: Delivering) -> None:
    before = delivering.status()

    results = [delivering.client.test_webhook(delivering.webhook.webhook_id, event) for event in EVENTS]

    assert {(result.response_status, result.response_body) for result in results} == {(202, "Test.")}
    after = delivering.status()
    assert after.last_delivery_at is not None
    assert before.last_delivery_at is None or after.last_delivery_at > before.last_delivery_at
    assert after.last_event_at == before.last_event_at
    assert delivering.hints() == set()


@pytest.mark.parametrize(
    ("wrong", "status", "sentence"),
    [
        ("secret", 401, "The signature is missing or wrong: does the webhook have the right secret?"),
        ("no secret", 401, "The signature is missing or wrong: does the webhook have the right secret?"),
        ("path", 404, "Not Found"),
    ],
)
def test_mlflows_test_call_tells_an_administrator_what_is_wrong(
    delivering: Delivering, wrong: str, status: int, sentence: str
) -> None:
    url = delivering.listener.address(new_secrets() if wrong == "path" else delivering.secrets)
    secret = {"secret": "not the right one", "no secret": None, "path": delivering.secrets.secret}[wrong]
    webhook = delivering.client.create_webhook(
        f"wrong-{wrong[:2]}", url, ["model_version_alias.created"], secret=secret
    )

    result = delivering.client.test_webhook(webhook.webhook_id)
    delivering.client.delete_webhook(webhook.webhook_id)

    assert (result.success, result.response_status, result.response_body) == (False, status, sentence)


def test_a_burst_of_events_about_one_version_is_one_hint(delivering: Delivering) -> None:
    client = delivering.client
    delivering.hints_after(lambda: client.create_registered_model("burst"))
    delivering.hints_after(lambda: client.create_model_version("burst", "s3://a/b"))

    def tag() -> None:
        for number in range(50):
            client.set_model_version_tag("burst", "1", f"key-{number}", "value")

    assert delivering.hints_after(tag, deliveries=50) == {(MODEL, "burst", 1)}


def test_an_event_with_a_long_text_is_delivered(delivering: Delivering) -> None:
    client = delivering.client
    delivering.hints_after(lambda: client.create_registered_model("long", description="模" * 50_000))
    delivering.hints_after(lambda: client.create_model_version("long", "s3://a/b"))

    hints = delivering.hints_after(lambda: client.set_model_version_tag("long", "1", "card", "模" * 100_000))

    assert hints == {(MODEL, "long", 1)}
