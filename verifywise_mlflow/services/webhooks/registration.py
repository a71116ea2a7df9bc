"""The requests with which an administrator of MLflow registers our webhook, as a Python program and as curl commands.

We never write to a tenant's MLflow, so this module only returns texts. The texts contain variables instead of the
secrets, unless the secrets are given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import Final

PATH_VARIABLE: Final = "WEBHOOK_PATH"
SECRET_VARIABLE: Final = "WEBHOOK_SECRET"  # noqa: S105  # a name
"""The variables of the administrator's shell that contain the two secrets."""

LISTENER_EXAMPLE: Final = "https://listener.example.com"
LISTENER_PREFIX: Final = "/mlflow/"
"""The listener's path up to the path secret of a tenant."""

SERVER_SETTINGS: Final[Mapping[str, str]] = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": (
        "a Fernet key that stays the same: MLflow encrypts the secrets of webhooks with it. Without it, each process "
        "of MLflow makes a key of its own, and after a restart no webhook works or can be listed"
    ),
    "MLFLOW_WEBHOOK_CACHE_TTL": (
        "0 on a server with workspaces, where one workspace's events may otherwise go to the webhooks of another one. "
        "By default, MLflow looks for new webhooks every 60 seconds"
    ),
}
"""Variables of MLflow's server, with the values to set."""

PRIVATE_SETTINGS: Final[Mapping[str, str]] = {
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true if the listener has a private or loopback address",
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "https,http if it has no TLS, for tests only",
}
"""The variables that MLflow does not document. Without them, MLflow delivers only to public addresses and over
https."""

FERNET_KEY_COMMAND: Final = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"


@dataclass(frozen=True, slots=True)
class SecretValues:
    """The values of a tenant's path and secret."""

    path: str
    secret: str


@dataclass(frozen=True, slots=True)
class Registration:
    """A webhook to register."""

    tenant_id: str
    tracking_uri: str
    workspace: str | None
    listener: str
    """The listener's address, without the path of a tenant."""
    events: Sequence[str]
    values: SecretValues | None = None
    """The secrets to write into the texts. With None, the texts contain variables."""

    @property
    def name(self) -> str:
        """The webhook's name in MLflow, which may have up to 63 characters."""
        return f"verifywise-{self.tenant_id}"[:63].rstrip("._-")

    @property
    def url_prefix(self) -> str:
        """The address to deliver to, up to the path secret."""
        return self.listener.rstrip("/") + LISTENER_PREFIX

    def without_values(self) -> Registration:
        """Return the same registration with variables instead of the secrets."""
        return replace(self, values=None)

    def python(self) -> str:
        """Return a program that registers the webhook and makes MLflow test it."""
        path = json.dumps(self.values.path) if self.values else f'os.environ["{PATH_VARIABLE}"]'
        secret = json.dumps(self.values.secret) if self.values else f'os.environ["{SECRET_VARIABLE}"]'
        lines = [
            *(() if self.values else ("import os", "")),
            *(("import mlflow",) if self.workspace else ()),
            "from mlflow import MlflowClient",
            "",
            *((f"mlflow.set_workspace({json.dumps(self.workspace)})",) if self.workspace else ()),
            f"client = MlflowClient({json.dumps(self.tracking_uri)})",
            "webhook = client.create_webhook(",
            f"    name={json.dumps(self.name)},",
            f"    url={json.dumps(self.url_prefix)} + {path},",
            f"    secret={secret},",
            "    events=[",
            *(f"        {json.dumps(event)}," for event in self.events),
            "    ],",
            ")",
            "print(client.test_webhook(webhook.webhook_id))",
        ]
        return "\n".join(lines) + "\n"

    def document(self) -> dict[str, object]:
        """Return the request of MLflow's REST API."""
        return {
            "name": self.name,
            "url": self.url_prefix + (self.values.path if self.values else f"${PATH_VARIABLE}"),
            "secret": self.values.secret if self.values else f"${SECRET_VARIABLE}",
            "events": [_rest_event(event) for event in self.events],
        }

    def curl(self) -> str:
        """Return the requests as shell commands. The second command is the test call."""
        url = quote(f"{self.tracking_uri}/api/2.0/mlflow/webhooks")
        workspace = f"  --header {quote(f'X-MLFLOW-WORKSPACE: {self.workspace}')} \\\n" if self.workspace else ""
        content = f" \\\n{workspace}  --header 'Content-Type: application/json' --data"
        # In a quoted here-document, the shell replaces nothing.
        end = "'END'" if self.values else "END"
        return (
            f"curl --fail-with-body {url}{content} @- <<{end}\n"
            f"{json.dumps(self.document())}\nEND\n"
            "# The response has the webhook_id. Insert it here:\n"
            f"curl --fail-with-body {url}/WEBHOOK_ID/test{content} '{{}}'\n"
        )


def _rest_event(event: str) -> dict[str, str]:
    """Return an event as MLflow's REST API names it."""
    entity, _, action = event.upper().partition(".")
    return {"entity": entity, "action": action}
