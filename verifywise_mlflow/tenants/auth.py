"""The kinds of credentials for a tenant's MLflow server, as ``tenants.yaml`` describes them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from verifywise_mlflow.http.sigv4 import SageMakerServer
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath, ConfigSection, http_uri


def _fingerprint(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()[:12]


class NoCredentials(ConfigSection):
    """A server without authentication."""

    kind: Literal["none"] = "none"

    def authorization(self) -> str | None:
        """Return None: no ``Authorization`` header is sent."""
        return None

    def identity(self) -> str:
        """Return our identity on the server, in a form that the audit trail may contain."""
        return "none"


class BasicCredentials(ConfigSection):
    """A user name and a password, as MLflow's basic-auth app requires."""

    kind: Literal["basic"]
    username: str = Field(min_length=1)
    password: SecretReference

    def authorization(self) -> str:
        """Return the value of the ``Authorization`` header.

        Raises:
            SecretUnavailableError: the password cannot be resolved.
        """
        pair = f"{self.username}:{self.password.resolve()}"
        return "Basic " + base64.b64encode(pair.encode()).decode("ascii")

    def identity(self) -> str:
        """Return the user name and the password's reference, but no hash of the password, which helps to guess it."""
        return f"basic {self.username} (password from {self.password})"


class BearerCredentials(ConfigSection):
    """A token, as gateways and Databricks require."""

    kind: Literal["bearer"]
    token: SecretReference

    def authorization(self) -> str:
        """Return the value of the ``Authorization`` header.

        Raises:
            SecretUnavailableError: the token cannot be resolved.
        """
        return f"Bearer {self.token.resolve()}"

    def identity(self) -> str:
        """Return the token's reference and a fingerprint, which distinguishes the token from its successor.

        Raises:
            SecretUnavailableError: the token cannot be resolved.
        """
        return f"bearer {_fingerprint(self.token.resolve())} (token from {self.token})"


class OAuth2Credentials(ConfigSection):
    """A token that an issuer grants for a client's id and secret (RFC 6749, client credentials)."""

    kind: Literal["oauth2"]
    token_uri: str
    """The issuer's token endpoint."""
    client_id: str = Field(min_length=1)
    client_secret: SecretReference
    scope: str | None = Field(default=None, min_length=1)
    """The scope of the token. Several scopes are separated by spaces."""
    audience: str | None = Field(default=None, min_length=1)
    client_authentication: Literal["basic", "post"] = "basic"
    """The place of the secret in the token request: a header, or the form fields."""
    ca_bundle: AbsolutePath | None = None
    """PEM file of the authorities to trust for the issuer, instead of the authorities of the system and of the tenant's
    ``tls``."""

    @field_validator("token_uri")
    @classmethod
    def _is_http(cls, uri: str) -> str:
        return http_uri(uri, "https://idp.example.com/oauth2/token", server_kind="issuer", query=True)

    def identity(self) -> str:
        """Return the client, its issuer and the secret's reference. No token is requested for this."""
        issuer = urlsplit(self.token_uri).hostname
        return f"oauth2 {self.client_id} at {issuer} (secret from {self.client_secret})"


class SigV4Credentials(ConfigSection):
    """AWS's signature on each request, as SageMaker's managed MLflow requires."""

    kind: Literal["sigv4"]
    access_key_id: SecretReference
    secret_access_key: SecretReference
    session_token: SecretReference | None = None
    """The session token of temporary credentials."""
    arn: str | None = None
    """ARN of a SageMaker tracking server or MLflow app, from which ``region`` and ``service`` get their defaults."""
    region: str | None = Field(default=None, pattern="^[a-z0-9-]+$")
    service: str | None = Field(default=None, pattern="^[a-z0-9-]+$")

    @field_validator("arn")
    @classmethod
    def _is_sagemaker_arn(cls, arn: str | None) -> str | None:
        if arn is not None:
            SageMakerServer.from_arn(arn)
        return arn

    @model_validator(mode="after")
    def _has_region(self) -> SigV4Credentials:
        if not self.arn and not self.region:
            raise ValueError("neither arn nor region is set: write the arn of the tracking server, or the region")
        return self

    def server(self) -> SageMakerServer | None:
        """Return the server that the ARN names; None without an ARN."""
        return SageMakerServer.from_arn(self.arn) if self.arn else None

    def signing_scope(self) -> tuple[str, str]:
        """Return the region and the service that requests are signed for."""
        server = self.server()
        region = self.region or (server.region if server else "")
        return region, self.service or (server.service if server else "sagemaker-mlflow")

    def identity(self) -> str:
        """Return the access key's id and the secret's reference. An id of unusual form is replaced by its fingerprint.

        Raises:
            SecretUnavailableError: the id cannot be resolved.
        """
        key_id = self.access_key_id.resolve()
        # A value without the form of an ID may be the secret, if the two references were swapped.
        shown_id = key_id if re.fullmatch("[A-Z0-9]{16,128}", key_id) else _fingerprint(key_id)
        return f"sigv4 {shown_id} (secret from {self.secret_access_key})"


_Kind = NoCredentials | BasicCredentials | BearerCredentials | OAuth2Credentials | SigV4Credentials

AUTH_KINDS: tuple[str, ...] = tuple(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(_Kind))
"""The values of ``kind``."""

Credentials = Annotated[_Kind, Field(discriminator="kind")]
