"""The demo's webhooks: MLflow reports changes to the listener, as an administrator of MLflow would set it up.

The paths and secrets that both sides share are in the demo's folder, so a resumed demo finds them again.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from verifywise_mlflow.connector.webhooks import MODEL_EVENTS, PROMPT_EVENTS
from verifywise_mlflow.demo.servers.mlflow_api import MlflowApi
from verifywise_mlflow.services.webhooks.registration import Registration, SecretValues


class DemoWebhooks:
    """The webhooks of all tenants of the demo."""

    def __init__(self, folder: Path, tenants: Sequence[str]) -> None:
        """Describe the webhooks. Nothing is written yet."""
        self._folder = folder
        self._tenants = tenants

    def mlflow_environment(self) -> Mapping[str, str]:
        """Return the variables that MLflow's server needs to deliver to a listener on 127.0.0.1 at once."""
        return {
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": self._value("encryption-key", _fernet_key()),
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
            # MLflow caches the webhooks of an event without regard to the workspace.
            "MLFLOW_WEBHOOK_CACHE_TTL": "0",
        }

    def settings(self, tenant: str) -> dict[str, object]:
        """Return the section ``webhooks`` of a tenant."""
        self._values(tenant)
        return {"path": f"file:{self._file(f'{tenant}.path')}", "secret": f"file:{self._file(f'{tenant}.secret')}"}

    def register(self, tracking_uri: str, listener: str) -> None:
        """Register the webhooks in MLflow, in each tenant's workspace, and replace the webhooks of an earlier demo."""
        for tenant in self._tenants:
            registration = Registration(
                tenant, tracking_uri, tenant, listener, MODEL_EVENTS + PROMPT_EVENTS, self._values(tenant)
            )
            MlflowApi(tracking_uri, tenant).register_webhook(registration.document())

    def _values(self, tenant: str) -> SecretValues:
        return SecretValues(
            self._value(f"{tenant}.path", secrets.token_urlsafe()),
            self._value(f"{tenant}.secret", secrets.token_urlsafe()),
        )

    def _value(self, name: str, new: str) -> str:
        """Return the stored value of this name; if there is none, store ``new`` and return it."""
        file = self._file(name)
        if not file.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(new)
        return file.read_text()

    def _file(self, name: str) -> Path:
        return self._folder / name


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
