"""A bucket that objects are written to, as settings files describe it."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from verifywise_mlflow.tenants.network import Proxy, Tls
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import ConfigSection, http_uri


class WritableBucket(ConfigSection):
    """A bucket of S3 or a compatible store, and a path in it below which objects are written."""

    uri: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*/?$")
    """The URI of the bucket and of the path below which objects are written."""
    endpoint: str | None = None
    """The endpoint of the store. Null: the AWS endpoint of the region."""
    region: str = Field(default="us-east-1", pattern="^[a-z0-9-]+$")
    path_style: bool | None = None
    """Whether the bucket is in the path or in the host name. Null: in the path if an endpoint is set."""
    access_key_id: SecretReference
    secret_access_key: SecretReference
    session_token: SecretReference | None = None
    """The session token of temporary credentials."""
    allow_private_network: bool = False
    """Whether the store may have a private, loopback or link-local address, and an unencrypted address (``http``)."""
    tls: Tls = Tls()
    proxy: Proxy | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, uri: str | None) -> str | None:
        example = "https://minio.example.com:9000"
        return uri and http_uri(uri, example, section="access_key_id and secret_access_key").rstrip("/")

    @model_validator(mode="after")
    def _is_encrypted(self) -> WritableBucket:
        if self.endpoint and urlsplit(self.endpoint).scheme == "http" and not self.allow_private_network:
            raise ValueError("endpoint is not encrypted, so the objects would be sent in clear text: write https://")
        return self

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return urlsplit(self.uri).netloc

    @property
    def path(self) -> str:
        """The path in the bucket: empty, or with a slash at its end."""
        path = urlsplit(self.uri).path.strip("/")
        return f"{path}/" if path else ""
