"""How a tenant's MLflow server wants to be asked: the kinds of credentials, as ``tenants.yaml`` describes them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from verifywise_mlflow.http.sigv4 import Resource
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath, server_uri


def _fingerprint(secret: str) -> str:
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()[:12]


class _Credentials(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NoCredentials(_Credentials):
    """An open server."""

    kind: Literal["none"] = "none"

    def authorization(self) -> str | None:
        """Return the value of the ``Authorization`` header, or none."""
        return None

    def identity(self) -> str:
        """Return who we are to the server, in words that may stand in the audit trail."""
        return "none"


class BasicCredentials(_Credentials):
    """A user name and a password, as MLflow's basic-auth app asks for."""

    kind: Literal["basic"]
    username: str = Field(min_length=1)
    password: SecretReference

    def authorization(self) -> str:
        """Return the value of the ``Authorization`` header."""
        pair = f"{self.username}:{self.password.resolve()}"
        return "Basic " + base64.b64encode(pair.encode()).decode("ascii")

    def identity(self) -> str:
        """Return the user name and the password's reference. A hash of a password could be guessed back: none."""
        return f"basic {self.username} (password from {self.password})"


class BearerCredentials(_Credentials):
    """A token, as gateways and Databricks ask for."""

    kind: Literal["bearer"]
    token: SecretReference

    def authorization(self) -> str:
        """Return the value of the ``Authorization`` header."""
        return f"Bearer {self.token.resolve()}"

    def identity(self) -> str:
        """Return the token's reference and a fingerprint, which tells one token from the next."""
        return f"bearer {_fingerprint(self.token.resolve())} (token from {self.token})"


class OAuth2Credentials(_Credentials):
    """A token that an issuer hands out for a client's id and secret (RFC 6749, client credentials)."""

    kind: Literal["oauth2"]
    token_uri: str
    """The issuer's token endpoint."""
    client_id: str = Field(min_length=1)
    client_secret: SecretReference
    scope: str | None = Field(default=None, min_length=1)
    """With blanks between several."""
    audience: str | None = Field(default=None, min_length=1)
    client_authentication: Literal["basic", "post"] = "basic"
    """Where the secret stands in the question: in a header, or among the fields."""
    ca_bundle: AbsolutePath | None = None
    """PEM file of the authorities to trust for the issuer instead of the system's. The tenant's tls is not for it."""

    @field_validator("token_uri")
    @classmethod
    def _is_http(cls, uri: str) -> str:
        return server_uri(uri, "https://idp.example.com/oauth2/token", what="issuer", query=True)

    def identity(self) -> str:
        """Return the client, its issuer and the secret's reference. The token is not asked for to tell who we are."""
        issuer = urlsplit(self.token_uri).hostname
        return f"oauth2 {self.client_id} at {issuer} (secret from {self.client_secret})"


class SigV4Credentials(_Credentials):
    """AWS's signature on each request, as SageMaker's managed MLflow asks for."""

    kind: Literal["sigv4"]
    access_key_id: SecretReference
    secret_access_key: SecretReference
    session_token: SecretReference | None = None
    """Of temporary credentials."""
    arn: str | None = None
    """Of a SageMaker tracking server or MLflow app. It tells the region and the service, too."""
    region: str | None = Field(default=None, pattern="^[a-z0-9-]+$")
    service: str | None = Field(default=None, pattern="^[a-z0-9-]+$")

    @field_validator("arn")
    @classmethod
    def _is_resource(cls, arn: str | None) -> str | None:
        if arn is not None:
            Resource.of(arn)
        return arn

    @model_validator(mode="after")
    def _has_region(self) -> SigV4Credentials:
        if not self.arn and not self.region:
            raise ValueError("write the arn of the tracking server, or the region where there is none")
        return self

    def resource(self) -> Resource | None:
        """Return the server that the ARN names."""
        return Resource.of(self.arn) if self.arn else None

    def scope(self) -> tuple[str, str]:
        """Return the region and the service that a signature is for."""
        resource = self.resource()
        region = self.region or (resource.region if resource else "")
        return region, self.service or (resource.service if resource else "sagemaker-mlflow")

    def identity(self) -> str:
        """Return the access key's id, which is no secret, and the secret's reference."""
        key = self.access_key_id.resolve()
        # What has not the form of an id may be the secret, by a slip in the references.
        who = key if re.fullmatch("[A-Z0-9]{16,128}", key) else _fingerprint(key)
        return f"sigv4 {who} (secret from {self.secret_access_key})"


_Kind = NoCredentials | BasicCredentials | BearerCredentials | OAuth2Credentials | SigV4Credentials

KINDS: tuple[str, ...] = tuple(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(_Kind))
"""What may stand after ``kind:``."""

Credentials = Annotated[_Kind, Field(discriminator="kind")]
