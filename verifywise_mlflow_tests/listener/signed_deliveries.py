"""A running listener that receives signed deliveries, and the rows that they leave in its database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3

from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind, WebhookStatus
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.listener.signing import headers_of, post
from verifywise_mlflow_tests.support.running_listener import (
    RunningListener,
    WebhookSecrets,
)

TENANTS = ("acme", "globex", "limited", "busy")
HINT = HintedObject(ObjectKind.MODEL, "churn", 3)


@dataclass(frozen=True, slots=True)
class Installation:
    """A listener with the database role of a listener, and the database."""

    listener: RunningListener
    tenants: dict[str, WebhookSecrets]
    store: Store
    owner_url: str
    role: str

    def deliver(
        self, tenant: str, body: str | bytes, headers: Mapping[str, str] | None = None, signed_seconds_ago: float = 0
    ) -> urllib3.BaseHTTPResponse:
        """Deliver an event that MLflow could have signed; ``headers`` replace MLflow's headers."""
        of_tenant = self.tenants[tenant]
        text = body if isinstance(body, str) else body.decode()
        sent = headers_of(of_tenant.secret, text, signed_seconds_ago=signed_seconds_ago)
        return post(self.listener.address(of_tenant), body, sent | dict(headers or {}))

    def hints(self, tenant: str) -> list[HintedObject]:
        """Return the hints of a tenant, and remove them."""
        with self.store.begin(tenant) as session:
            hints = change_hints.pending(session)
            change_hints.settle(session, hints)
        return [hint.object for hint in hints]

    def status(self, tenant: str) -> WebhookStatus:
        """Return whether the webhooks of a tenant are alive."""
        with self.store.begin(tenant) as session:
            return change_hints.status(session)

    def count(self, tenant: str, outcome: str) -> int:
        """Return how many deliveries had this outcome."""
        metrics = self.listener.get("/metrics").data.decode()
        found = re.search(
            rf'verifywise_listener_deliveries_total{{outcome="{outcome}",tenant="{tenant}"}} ([\d.]+)', metrics
        )
        return int(float(found[1])) if found else 0

    def transactions(self) -> int:
        """Return how many transactions wrote deliveries."""
        with self.store.begin_shared() as connection:
            query = "SELECT count(*) FROM verifywise_mlflow.webhook_deliveries"
            return int(connection.exec_driver_sql(query).scalar_one())
