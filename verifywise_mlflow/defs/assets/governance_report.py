"""The governance report of a tenant as an asset, downstream of ``compliance_results``, partitioned by tenant.

It is not part of the sync, so that a folder that cannot be written, or a report that takes long, does not fail or delay
a sync. A sensor requests it when a tenant's state has changed.
"""

# No `from __future__ import annotations` here: Dagster reads the assets' annotations as types.

import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from verifywise_mlflow.common.problems import shorten
from verifywise_mlflow.common.reports_extra import explain_missing
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.defs.partitions import tenant_of_partition, tenant_partitions
from verifywise_mlflow.defs.run_tags import REPORT_ASSET
from verifywise_mlflow.delivery.report_bucket import upload_report
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.database import DatabaseError, database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import SecretUnavailableError, TenantsFileError
from verifywise_mlflow.tenants.report import Report

if TYPE_CHECKING:
    from verifywise_mlflow.documents.report.site import SiteSummary


@dg.asset(
    name=REPORT_ASSET,
    deps=[Stage.COMPLIANCE_RESULTS.value],
    partitions_def=tenant_partitions,
    group_name="model_governance",
    kinds={"html", "postgres"},
    owners=["team:data-platform"],
    description="Writes the governance report of a tenant: a static site for the browser, the board and the printer. "
    "It is off unless tenants.yaml names a directory or a bucket under report. "
    "How to read it: the link leads to the report, whose pages state the sync that they show. A report that fails "
    "leaves the earlier one in place.",
    tags={"access_to_mlflow": "none"},
)
def governance_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Write the report of the partition's tenant."""
    tenant_id = context.partition_key
    try:
        settings = tenant_of_partition(tenant_id).report
        if settings is None:
            return dg.MaterializeResult(metadata={"outcome": "no directory and no bucket is configured"})
        return dg.MaterializeResult(metadata=_write(settings, tenant_id))
    except (DatabaseError, HttpError, SecretUnavailableError, TenantsFileError) as error:
        raise dg.Failure(shorten(str(error)), allow_retries=getattr(error, "retryable", False)) from None


def _write(settings: Report, tenant_id: str) -> dict[str, dg.MetadataValue]:
    now = datetime.now(UTC)
    folder = settings.folder_of(tenant_id)
    if folder is not None:
        summary, start_page = _write_folder(folder, tenant_id, now), str(folder / "index.html")
    else:
        assert settings.bucket is not None  # the settings have either a folder or a bucket
        with tempfile.TemporaryDirectory(prefix="verifywise-report-") as scratch:
            local = Path(scratch) / "report"
            summary = _write_folder(local, tenant_id, now)
            start_page = upload_report(local, settings.bucket, tenant_id, f"{now:%Y%m%dT%H%M%SZ}")
    address = settings.address_of(tenant_id)
    return {
        "report": dg.MetadataValue.url(address) if address else dg.MetadataValue.path(start_page),
        "start_page": dg.MetadataValue.path(start_page),
        "models": dg.MetadataValue.int(summary.models),
        "versions": dg.MetadataValue.int(summary.versions),
        "pages": dg.MetadataValue.int(summary.pages),
    }


def _write_folder(folder: Path, tenant_id: str, now: datetime) -> "SiteSummary":
    try:
        # Imported on demand: the chart library belongs to an extra, and every run loads this module.
        from verifywise_mlflow.documents.report.page_folder import UnsuitableFolderError
        from verifywise_mlflow.documents.report.site import write_site
    except ModuleNotFoundError as error:
        raise dg.Failure(explain_missing(error, "the report"), allow_retries=False) from None
    try:
        return write_site(partial(Store, database_url()), [tenant_id], folder, now)
    except UnsuitableFolderError as error:
        raise dg.Failure(shorten(str(error)), allow_retries=False) from None
    except OSError as error:
        raise dg.Failure(
            escape_invisible(shorten(f"the report cannot be written to {folder}: {error.strerror or error}"))
        ) from None
