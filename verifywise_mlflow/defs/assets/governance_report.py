"""The governance report of a tenant as an asset, behind ``compliance_results``, partitioned by tenant.

It is no part of the sync, so that a folder that cannot be written, or a report that takes long, does not fail or delay
one. A sensor requests it when a tenant's state has changed.
"""

# No `from __future__ import annotations` here: Dagster reads the assets' annotations as types.

from datetime import UTC, datetime
from functools import partial

import dagster as dg

from verifywise_mlflow.common.problems import shorten
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.run_tags import REPORT_ASSET
from verifywise_mlflow.persistence.database import DatabaseError, database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.report import Report


@dg.asset(
    name=REPORT_ASSET,
    deps=[Stage.COMPLIANCE_RESULTS.value],
    partitions_def=tenant_partitions,
    group_name="model_governance",
    kinds={"html", "postgres"},
    owners=["team:data-platform"],
    description="Writes the governance report of a tenant: a static site for the browser, the board and the printer. "
    "It is off unless tenants.yaml names a directory under report. "
    "How to read it: the link leads to the report, whose pages state the sync that they show. A report that fails "
    "leaves the earlier one in place.",
    tags={"access_to_mlflow": "none"},
)
def governance_report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """Write the report of the partition's tenant."""
    tenant_id = context.partition_key
    try:
        settings = _settings(tenant_id)
        if settings is None:
            return dg.MaterializeResult(metadata={"outcome": "no directory is configured"})
        return dg.MaterializeResult(metadata=_write(settings, tenant_id))
    except (DatabaseError, TenantsFileError) as error:
        raise dg.Failure(shorten(str(error)), allow_retries=getattr(error, "retryable", False)) from None


def _settings(tenant_id: str) -> Report | None:
    tenants = load_tenants()
    if tenant_id not in tenants:
        raise TenantsFileError(f"tenant {tenant_id} is not in tenants.yaml. Add it to the file to report on it")
    return tenants[tenant_id].report


def _write(settings: Report, tenant_id: str) -> dict[str, dg.MetadataValue]:
    try:
        # On demand: the chart library belongs to an extra, and every run loads this module.
        from verifywise_mlflow.documents.report.page_folder import UnsuitableFolderError
        from verifywise_mlflow.documents.report.site import write_site
    except ModuleNotFoundError as error:
        raise dg.Failure(
            f"the report needs {error.name}, which is not installed: pip install 'verifywise-mlflow[reports]'",
            allow_retries=False,
        ) from None
    folder, address = settings.folder_of(tenant_id), settings.address_of(tenant_id)
    try:
        summary = write_site(partial(Store, database_url()), [tenant_id], folder, datetime.now(UTC))
    except UnsuitableFolderError as error:
        raise dg.Failure(shorten(str(error)), allow_retries=False) from None
    except OSError as error:
        raise dg.Failure(
            escape_invisible(shorten(f"the report cannot be written to {folder}: {error.strerror or error}")),
            allow_retries=True,
        ) from None
    return {
        "report": dg.MetadataValue.url(address) if address else dg.MetadataValue.path(summary.start_page),
        "folder": dg.MetadataValue.path(folder),
        "models": dg.MetadataValue.int(summary.models),
        "versions": dg.MetadataValue.int(summary.versions),
        "pages": dg.MetadataValue.int(summary.pages),
    }
