"""Alerts as a POST of JSON: for chat systems, which show ``text``, and for programs, which take ``alerts``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

import urllib3
from pydantic import Field

from verifywise_mlflow.alerts.alert import Alert, inert
from verifywise_mlflow.alerts.targets.target import SECONDS, Described, NotDeliveredError
from verifywise_mlflow.http.errors import ConnectorError
from verifywise_mlflow.http.pools import open_pool
from verifywise_mlflow.http.settings import ConnectionSettings
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath


class WebhookTarget(Described):
    """An address that takes JSON. Whoever knows it may post there, so it is a secret like a password."""

    kind: Literal["webhook"] = "webhook"
    url: SecretReference
    headers: dict[str, SecretReference] = Field(default_factory=dict)
    ca_bundle: AbsolutePath | None = None

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Post the alerts; no redirect is followed, no proxy of the environment is taken."""
        url = self.url.resolve()
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise NotDeliveredError(f"what {self.url} refers to has to be http(s)://host/path, without a user in it")
        headers = {
            "User-Agent": "verifywise-mlflow",
            "Content-Type": "application/json",
            **{name: reference.resolve() for name, reference in self.headers.items()},
        }
        try:
            # The operator names it, so it may well be in a private network.
            with open_pool(
                ConnectionSettings(base_uri=url, allow_private_network=True, ca_bundle=self.ca_bundle)
            ) as pool:
                answer = pool.urlopen(
                    "POST",
                    url,
                    body=body(alerts),
                    headers=headers,
                    redirect=False,
                    retries=False,
                    preload_content=False,  # what it says is of no use to us, however long it is
                    timeout=urllib3.Timeout(connect=SECONDS, read=SECONDS),
                )
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, ConnectorError, OSError, ValueError) as error:
            # Its text may hold the address, and a header's value.
            raise NotDeliveredError(f"the webhook of {self.url} was not reached: {type(error).__name__}") from None
        if not 200 <= answer.status < 300:
            raise NotDeliveredError(f"the webhook of {self.url} answered with HTTP {answer.status}")


def body(alerts: Sequence[Alert]) -> bytes:
    """Return what is posted. In ``text``, &, < and > are entities, as Slack and its likes ask: no mention, no link."""
    lines = "\n".join(alert.line() for alert in alerts)
    told = [
        {
            "kind": alert.kind,
            "tenant": alert.tenant_id,
            "state": alert.state,
            "sentence": inert(alert.sentence),
            "at": alert.at.isoformat(),
        }
        for alert in alerts
    ]
    text = lines.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return json.dumps({"text": text, "alerts": told}).encode()
