"""``verifywise-mlflow badge``."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import fail
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.badges import badge_report
from verifywise_mlflow.services.version_references import require_known_model, require_recorded, resolve_version

app = typer.Typer()


class Format(StrEnum):
    """The output format of a badge."""

    SVG = "svg"
    JSON = "json"


@app.command()
def badge(
    tenant: StoredTenantName,
    model: ModelName,
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]", help="The version's number, alias or stage. Without it, the badge of the model."
        ),
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="An image, or an object for programs.")
    ] = Format.SVG,
) -> None:
    """Print the badge of a version or of a model, for other systems to display.

    Reads the database only.
    """
    as_json = output_format is Format.JSON
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin_snapshot(tenant) as session:
        number = None if version is None else resolve_version(session, model, version)
        report = badge_report(session, model, number, datetime.now(UTC))
        if report is None and number is not None:
            require_recorded(session, (model, number))
        elif report is None:
            require_known_model(session, model)
    if report is None:
        version_phrase = f" version {number}" if number is not None else ""
        fail(f"nothing was judged of {quote(model)}{version_phrase} of the tenant {quote(tenant)}", 1, as_json)
    if as_json:
        sys.stdout.write(json.dumps(json_ready(report.to_json())) + "\n")
    else:
        sys.stdout.buffer.write(report.svg().encode("utf-8"))
