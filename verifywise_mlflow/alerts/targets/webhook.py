"""Posts alerts as JSON to a webhook: chat systems show ``text``, programs read ``alerts``.

Incoming webhooks of Slack and of chat systems with Markdown accept this body. ``text`` is inert in these systems.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

import urllib3
from pydantic import Field

from verifywise_mlflow.alerts.alert import Alert, escape_alert_text
from verifywise_mlflow.alerts.chat_text import chat_text
from verifywise_mlflow.alerts.targets.target import DELIVERY_TIMEOUT_S, DeliveryError, TargetSettings
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.http.pools import open_pool
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath


class WebhookTarget(TargetSettings):
    """A URL that accepts JSON. Anyone who knows the URL can post there, so the URL is a secret like a password."""

    kind: Literal["webhook"] = "webhook"
    url: SecretReference
    headers: dict[str, SecretReference] = Field(default_factory=dict)
    ca_bundle: AbsolutePath | None = None

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Post the alerts. Redirects are not followed, and proxies of the environment are not used."""
        url = self.url.resolve()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise DeliveryError(f"{self.url} must refer to a URL of the form http(s)://host/path without a user")
        headers = {
            "User-Agent": "verifywise-mlflow",
            "Content-Type": "application/json",
            **{name: reference.resolve() for name, reference in self.headers.items()},
        }
        try:
            # The operator names the webhook, so private networks and older private authorities are allowed.
            with open_pool(
                ConnectionSettings(base_uri=url, allow_private_network=True, ca_bundle=self.ca_bundle, tls_strict=False)
            ) as pool:
                response = pool.urlopen(
                    "POST",
                    url,
                    body=request_body(alerts),
                    headers=headers,
                    redirect=False,
                    retries=False,
                    preload_content=False,  # the body is not used and may be large
                    timeout=urllib3.Timeout(connect=DELIVERY_TIMEOUT_S, read=DELIVERY_TIMEOUT_S),
                )
                response.release_conn()
        except (urllib3.exceptions.HTTPError, HttpError, OSError, ValueError) as error:
            # The error text may contain the URL and header values.
            raise DeliveryError(f"the webhook of {self.url} could not be called: {type(error).__name__}") from None
        if not 200 <= response.status < 300:
            raise DeliveryError(f"the webhook of {self.url} returned HTTP {response.status}")


def request_body(alerts: Sequence[Alert]) -> bytes:
    """Return the request body."""
    alert_objects = [
        {
            "kind": alert.kind,
            "tenant": alert.tenant_id,
            "state": alert.state,
            "sentence": escape_alert_text(alert.sentence),
            "at": alert.at.isoformat(),
        }
        for alert in alerts
    ]
    return json.dumps({"text": chat_text(alert.line() for alert in alerts), "alerts": alert_objects}).encode()
