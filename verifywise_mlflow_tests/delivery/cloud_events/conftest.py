"""A webhook at a server of the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifywise_mlflow.delivery.cloud_events.webhook import Webhook
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.delivery.webhooks import WebhookSettings
from verifywise_mlflow_tests.delivery.cloud_events.webhooks import PATH_SECRET, SECRET
from verifywise_mlflow_tests.support.hostile_server import HostileServer


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
