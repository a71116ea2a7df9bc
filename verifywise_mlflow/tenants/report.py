"""Where the governance report on a tenant is written after its syncs, as ``tenants.yaml`` describes it."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator

from verifywise_mlflow.tenants.validators import AbsolutePath, ConfigSection, http_uri


class Report(ConfigSection):
    """The folder of the reports of this tenant and others, and where people find it."""

    directory: AbsolutePath
    """The report is the folder in it that has the tenant's name. It may be a mounted bucket or a share."""
    url: str | None = None
    """The address at which a web server offers the folder, for links from Dagster's pages."""

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        return url and http_uri(
            url, "https://reports.example.com/governance", section="the web server's own settings"
        ).rstrip("/")

    def folder_of(self, tenant_id: str) -> Path:
        """Return the folder of a tenant's report."""
        return self.directory / tenant_id

    def address_of(self, tenant_id: str) -> str | None:
        """Return the address of a tenant's report."""
        return f"{self.url}/{tenant_id}/index.html" if self.url else None
