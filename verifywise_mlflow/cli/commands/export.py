"""``verifywise-mlflow export``."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import StoredTenantName
from verifywise_mlflow.cli.command_catalog import MISUSED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, fail, fail_to_write, out, table
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.exports.json_documents.export import ExportDocument
from verifywise_mlflow.exports.warehouse.export import export_tenant
from verifywise_mlflow.exports.warehouse.state import ExportDirectoryError
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store

app = typer.Typer()


class Format(StrEnum):
    """The format of the files."""

    PARQUET = "parquet"
    JSONL = "jsonl"


@app.command()
def export(
    tenant: StoredTenantName,
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Where the files are. It is created, and holds one tenant.")
    ],
    file_format: Annotated[
        Format, typer.Option("--format", help="Parquet, or JSON Lines. A directory has one of them.")
    ] = Format.PARQUET,
    as_json: AsJson = False,
) -> None:
    """Export a tenant for a data warehouse: everything at first, then what is new.

    Records, verdicts and badges with their histories, waivers, files, events, the audit trail and gaps. An export that
    is interrupted adds nothing; the next one exports it.
    """
    now = datetime.now(UTC)
    try:
        with exit_on_errors(as_json), Store(database_url()) as store:
            result = export_tenant(store, tenant, directory, file_format.value, now)
    except ExportDirectoryError as error:
        fail(str(error), MISUSED, as_json)
    except OSError as error:
        fail_to_write(Path(error.filename or directory), error, as_json)
    if as_json:
        document = ExportDocument(
            at=now,
            tenant=tenant,
            directory=str(directory),
            format=file_format.value,
            export_number=result.export_number,
            reason_for_all=result.reason_for_all,
            rows=result.rows,
        )
        print_document(document)
        return
    rows = table("table", "new rows", right=("new rows",))
    for name, count in result.rows.items():
        rows.add_row(name, f"{count:,}")
    out.print(rows)
    extent = f"all, since {result.reason_for_all}" if result.reason_for_all else "what changed since the last one"
    where = escape_invisible(str(directory))
    out.print(f"Export {result.export_number} to {where}: {extent}.", markup=False, soft_wrap=True)
