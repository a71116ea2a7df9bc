"""The listener accepts the deliveries of each release of MLflow with webhooks, from the first such release on."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.connector.webhooks import FIRST_RELEASE, available_events
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.compat.environments import environments_since
from verifywise_mlflow_tests.compat.server import start_server
from verifywise_mlflow_tests.support.mlflow_process import WEBHOOK_VARIABLES
from verifywise_mlflow_tests.support.running_listener import (
    await_that,
    new_secrets,
    running_listener,
    write_tenants,
)
from verifywise_mlflow_tests.support.webhook_events import webhook_events


@pytest.mark.parametrize("environment", environments_since(FIRST_RELEASE))
def test_events_and_test_calls_of_each_release_are_understood(
    environment: str, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_acme = new_secrets()
    write_tenants(tmp_path / "tenants.yaml", {"acme": of_acme}, monkeypatch)
    with (
        running_listener(store) as listener,
        start_server(environment, tmp_path, variables=WEBHOOK_VARIABLES) as server,
    ):
        client = MlflowClient(server.uri)
        events = webhook_events(available_events(server.version))
        webhook = client.create_webhook("governance", listener.address(of_acme), [*events], secret=of_acme.secret)

        tests = [client.test_webhook(webhook.webhook_id, event) for event in events]
        client.create_registered_model("churn")
        client.create_model_version("churn", "s3://bucket/model")
        client.set_model_version_tag("churn", "1", "owner", "Ada")
        client.set_registered_model_alias("churn", "champion", "1")

        def deliveries() -> int:
            with store.begin_shared() as connection:
                count = "SELECT count(*) FROM verifywise_mlflow.webhook_deliveries"
                return int(connection.exec_driver_sql(count).scalar_one())

        await_that(lambda: deliveries() == len(tests) + 4)

    assert {(test.response_status, test.response_body) for test in tests} == {(202, "Test.")}
    with store.begin("acme") as session:
        hints = {hint.object for hint in change_hints.pending(session)}
    assert hints == {HintedObject(ObjectKind.MODEL, "churn"), HintedObject(ObjectKind.MODEL, "churn", 1)}
