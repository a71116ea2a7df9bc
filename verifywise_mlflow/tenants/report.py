"""Where the governance report on a tenant is written after its syncs, as ``tenants.yaml`` describes it."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator, model_validator

from verifywise_mlflow.tenants.bucket import WritableBucket
from verifywise_mlflow.tenants.validators import AbsolutePath, ConfigSection, http_uri


class Report(ConfigSection):
    """The place where this tenant's report is written, and its address for people. Tenants may share a place."""

    directory: AbsolutePath | None = None
    """The directory of the reports. A tenant's report is the folder in it with the tenant's name."""
    bucket: WritableBucket | None = None
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
        """Return the folder of a tenant's report; None if the report is in a bucket."""
        return self.directory / tenant_id if self.directory else None

    def address_of(self, tenant_id: str) -> str | None:
        """Return the address of a tenant's report; None without ``url``."""
        return f"{self.url}/{tenant_id}/index.html" if self.url else None
