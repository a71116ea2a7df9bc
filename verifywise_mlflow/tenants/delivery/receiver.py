"""The connection settings of a server that accepts events over HTTP: a webhook, or a server for lineage."""

from __future__ import annotations

from pydantic import Field

from verifywise_mlflow.tenants.network import Proxy, Tls
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import ConfigSection


class ReceiverSettings(ConfigSection):
    """A server that accepts events."""

    headers: dict[str, SecretReference] = Field(default_factory=dict)
    """Extra headers, given as references to secrets, because they usually contain keys."""
    allow_private_network: bool = False
    """Whether the server may have a private, loopback or link-local address, and an unencrypted address (``http``)."""
    tls: Tls = Tls()
    proxy: Proxy | None = None

    def resolved_headers(self) -> dict[str, str]:
        """Return the extra headers.

        Raises:
            SecretUnavailableError: a reference cannot be resolved.
        """
        return {name: reference.resolve() for name, reference in self.headers.items()}
