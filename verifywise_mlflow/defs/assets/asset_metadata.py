"""Metadata of the stage assets: of the asset itself, and of each materialization."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import quote

import dagster as dg

import verifywise_mlflow
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.assets.column_schema import column_schema
from verifywise_mlflow.defs.metadata_table import rows_table
from verifywise_mlflow.persistence.queries.stage_queries import newest_rows
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow.pipeline.context import StageReport, SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.server import DatabricksServer
from verifywise_mlflow.tenants.tenant import Tenant

MetadataEntry: TypeAlias = (
    int
    | float
    | str
    | dg.JsonMetadataValue
    | dg.TableMetadataValue
    | dg.UrlMetadataValue
    | dg.DagsterAssetMetadataValue
)

SOURCE_URL: Final = "VERIFYWISE_SOURCE_URL"
"""The environment variable with the URL at which a code browser shows the package's folder at the installed release."""
PREVIEW_ROWS: Final = 5
MAX_SCOPE_ROWS: Final = 20


def stage_metadata(stage: Stage) -> dict[str, object]:
    """Return the metadata of a stage's asset: table, columns, code."""
    return {
        "dagster/table_name": f"{SCHEMA}.{stage.value}",
        "dagster/storage_kind": "postgres",
        "dagster/column_schema": column_schema(stage.value),
        "dagster/code_references": _code_references(stage),
    }


def materialization_metadata(sync: Sync, report: StageReport) -> dict[str, MetadataEntry]:
    """Return the metadata of a materialization besides its counts: link, preview of the newest rows, durations."""
    metadata: dict[str, MetadataEntry] = {"mlflow": dg.MetadataValue.url(models_page_url(sync.tenant))}
    # The preview is read even if this sync changed nothing. Otherwise today's changes would vanish with the next sync.
    with sync.store.begin(sync.tenant.tenant_id) as session:
        rows = newest_rows(session, report.stage, PREVIEW_ROWS)
    if rows:
        metadata["preview"] = rows_table(rows)
    if report.stage is Stage.COMPLIANCE_RESULTS:
        metadata["duration_by_stage"] = _durations(sync.reports)
    return metadata


def scope_metadata(options: SyncOptions) -> dict[str, MetadataEntry]:
    """Return the scope of a targeted sync; empty for a sync of the whole registry."""
    if options.only is None:
        return {}
    shown = [
        {"kind": item.kind.value, "name": item.name, "version": item.version_number or None}
        for item in options.only[:MAX_SCOPE_ROWS]
    ]
    scope = f"targeted: {len(options.only):,} models and versions that webhooks reported, not the whole registry"
    return {"scope": scope, **({"objects": rows_table(shown)} if shown else {})}


def models_page_url(tenant: Tenant) -> str:
    """Return the URL of the tenant's models in the server's own user interface. The URL contains no credentials."""
    base = quote(tenant.tracking_uri, safe=":/%[]@,;=+&~")
    match tenant.server:
        case DatabricksServer(registry="unity_catalog"):
            return f"{base}/explore/data"
        case DatabricksServer():
            return f"{base}/#mlflow/models"
        case _:
            return f"{base}/#/models" + (f"?workspace={tenant.workspace}" if tenant.workspace else "")


def _durations(reports: Sequence[StageReport]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord({"stage": report.stage.value, "seconds": round(report.seconds, 3)}) for report in reports]
    )


def _code_references(stage: Stage) -> dg.CodeReferencesMetadataValue:
    """Return a link to the stage's own module. The function that builds the assets is the same for all six stages."""
    module = import_module(f"verifywise_mlflow.pipeline.stages.{stage.value}")
    path, line = Path(str(module.__file__)), module.refresh.__code__.co_firstlineno
    relative = path.relative_to(Path(verifywise_mlflow.__file__).parent).as_posix()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        if base_url := os.environ.get(SOURCE_URL):
            url = dg.UrlCodeReference(url=f"{base_url.rstrip('/')}/{relative}#L{line}", label=relative)
            return dg.CodeReferencesMetadataValue(code_references=[url])
        file = dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=relative)
        return dg.CodeReferencesMetadataValue(code_references=[file])
