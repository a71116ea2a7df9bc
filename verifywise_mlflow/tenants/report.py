"""Where the governance report on a tenant is written after its syncs, as ``tenants.yaml`` describes it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from verifywise_mlflow.tenants.network import Proxy, Tls
from verifywise_mlflow.tenants.secrets import SecretReference
from verifywise_mlflow.tenants.validators import AbsolutePath, ConfigSection, http_uri


class ReportBucket(ConfigSection):
    """A bucket of S3 or a store with its interface. Objects are written, and neither read, listed nor deleted."""

    uri: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*/?$")
    """The bucket, and the path in it below which reports are written."""
    endpoint: str | None = None
    """Null: the AWS endpoint of the region."""
    region: str = Field(default="us-east-1", pattern="^[a-z0-9-]+$")
    path_style: bool | None = None
    """Whether the bucket is in the path or in the host name. Null: in the path if an endpoint is set."""
    access_key_id: SecretReference
    secret_access_key: SecretReference
    session_token: SecretReference | None = None
    """For temporary credentials."""
    allow_private_network: bool = False
    """Whether the store may have a private, loopback or link-local address, and an unencrypted one."""
    tls: Tls = Tls()
    proxy: Proxy | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, uri: str | None) -> str | None:
        example = "https://minio.example.com:9000"
        return uri and http_uri(uri, example, section="access_key_id and secret_access_key").rstrip("/")

    @model_validator(mode="after")
    def _is_encrypted(self) -> ReportBucket:
        if self.endpoint and urlsplit(self.endpoint).scheme == "http" and not self.allow_private_network:
            raise ValueError("endpoint is not encrypted, so the report would be sent in clear text: write https://")
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


class Report(ConfigSection):
    """Where the reports of this tenant and others are written, and where people find them."""

    directory: AbsolutePath | None = None
    """The report is the folder in it that has the tenant's name."""
    bucket: ReportBucket | None = None
    url: str | None = None
    """The address at which a web server offers the directory or the bucket, for links from Dagster's pages."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        return url and http_uri(
            url, "https://reports.example.com/governance", section="the web server's own settings"
        ).rstrip("/")

    @model_validator(mode="after")
    def _has_one_target(self) -> Report:
        if (self.directory is None) == (self.bucket is None):
            raise ValueError("report needs either directory or bucket: write one of them")
        return self

    def folder_of(self, tenant_id: str) -> Path | None:
        """Return the folder of a tenant's report; None if it is in a bucket."""
        return self.directory / tenant_id if self.directory else None

    def address_of(self, tenant_id: str) -> str | None:
        """Return the address of a tenant's report."""
        return f"{self.url}/{tenant_id}/index.html" if self.url else None
