"""TLS and forward-proxy settings of connections to the tenant's own server and to its delivery targets."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath, ConfigSection, http_uri


class Tls(ConfigSection):
    """TLS beyond the system's defaults. Verification cannot be switched off: name the CA instead."""

    ca_bundle: AbsolutePath | None = None
    """PEM file of the authorities to trust instead of the system's authorities."""
    client_certificate: AbsolutePath | None = None
    """PEM file of the client certificate, for servers that require such a certificate."""
    client_key: AbsolutePath | None = None
    """PEM file of the certificate's key, unless the certificate's file contains the key."""
    strict: bool = True
    """Whether certificates must follow RFC 5280 to the letter; set false for older private authorities. The setting of
    a tenant applies to its server, token issuer and stores. Each delivery target has a setting of its own."""

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Tls:
        if self.client_key and not self.client_certificate:
            raise ValueError("client_key is set without a client_certificate: add the certificate")
        return self


class Proxy(ConfigSection):
    """A forward proxy. A tenant's proxy is used for its MLflow server, token issuer and stores. The proxy of a delivery
    target is used for this target."""

    uri: str
    """``http://host:port``. Requests to an https server pass through the proxy encrypted."""
    username: str | None = Field(default=None, pattern="^[^:]+$")
    password: SecretReference | None = None
    allow_private_network: bool = False
    """Whether the proxy itself may have a private, loopback or link-local address."""

    @field_validator("uri")
    @classmethod
    def _is_plain_http(cls, uri: str) -> str:
        parts = urlsplit(http_uri(uri, "http://proxy.example.com:3128", server_kind="proxy", section="proxy"))
        if parts.scheme != "http":
            raise ValueError("TLS to the proxy itself is not supported: write http://")
        if parts.path.strip("/"):
            raise ValueError("the proxy's address has a path: remove everything after the port")
        return uri.rstrip("/")

    @model_validator(mode="after")
    def _password_has_username(self) -> Proxy:
        if (self.username is None) != (self.password is None):
            raise ValueError("only one of username and password is set: set both or neither")
        return self
