"""What stands beside the assets: of a stage as such, and of each materialization."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import quote

import dagster as dg

import verifywise_mlflow
from verifywise_mlflow.defs.assets.column_schema import column_schema
from verifywise_mlflow.defs.markdown import shown
from verifywise_mlflow.persistence.queries.stage_contents import newest_rows
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow.pipeline.context import Stage, StageReport
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.server import DatabricksServer
from verifywise_mlflow.tenants.tenant import Tenant

Shown: TypeAlias = int | float | str | dg.TableMetadataValue | dg.UrlMetadataValue | dg.DagsterAssetMetadataValue

SOURCE_URL: Final = "VERIFYWISE_SOURCE_URL"
"""Names the variable with the address under which a browser shows the package's folder, of the release in use."""
PREVIEWED = 5
_LONGEST = 120


def of_stage(stage: Stage) -> dict[str, object]:
    """Return what is true of a stage whatever it holds: table, columns, code."""
    return {
        "dagster/table_name": f"{SCHEMA}.{stage.value}",
        "dagster/storage_kind": "postgres",
        "dagster/column_schema": column_schema(stage),
        "dagster/code_references": _code(stage),
    }


def of_materialization(sync: Sync, report: StageReport) -> dict[str, Shown]:
    """Return what one materialization did, beyond its figures: where to look, what changed, how long it all took."""
    beside: dict[str, Shown] = {"mlflow": dg.MetadataValue.url(models_page(sync.tenant))}
    # Also where nothing changed just now: what changed today is not to vanish with the next hour's sync.
    with sync.store.begin(sync.tenant.tenant_id) as connection:
        rows = newest_rows(connection, sync.tenant.tenant_id, report.stage, PREVIEWED)
    if rows:
        beside["preview"] = preview(rows)
    if report.stage is Stage.COMPLIANCE_RESULTS:
        beside["duration_by_stage"] = _durations(sync.reports)
    return beside


def preview(rows: Sequence[Mapping[str, object]]) -> dg.TableMetadataValue:
    """Return rows as a table in which names that others gave are text and nothing else."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: cell(value) for name, value in row.items()}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name) for name in rows[0]]),
    )


def cell(value: object) -> str | int | bool | None:
    """Return a value as a cell: control, bidirectional and unseen characters as escapes, and short."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    written = shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}…"


def models_page(tenant: Tenant) -> str:
    """Return the URL of the tenant's models in the server's own user interface. It holds no credentials."""
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


def _code(stage: Stage) -> dg.CodeReferencesMetadataValue:
    """Return where the stage's code is. All six assets come from one function, so what tells them apart is linked."""
    module = import_module(f"verifywise_mlflow.pipeline.{stage.value}")
    path, line = Path(str(module.__file__)), module.refresh.__code__.co_firstlineno
    inside = path.relative_to(Path(verifywise_mlflow.__file__).parent).as_posix()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        if base := os.environ.get(SOURCE_URL):
            reference = dg.UrlCodeReference(url=f"{base.rstrip('/')}/{inside}#L{line}", label=inside)
            return dg.CodeReferencesMetadataValue(code_references=[reference])
        here = dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=inside)
        return dg.CodeReferencesMetadataValue(code_references=[here])
