"""``verifywise-mlflow badge``."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from verifywise_mlflow.cli.arguments import ModelName, StoredTenantName
from verifywise_mlflow.cli.display import json_ready
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import fail
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.badges import badge_report

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
        int | None,
        typer.Argument(metavar="[VERSION]", help="The version's number. Without it, the model's badge.", min=1),
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="An image, or an object for programs.")
    ] = Format.SVG,
) -> None:
    """Print the badge of a version or of a model, for other systems to display.

    Reads the database only.
    """
    as_json = output_format is Format.JSON
    with exit_on_errors(as_json), Store(database_url()) as store, store.begin(tenant) as session:
        report = badge_report(session, model, version, datetime.now(UTC))
    if report is None:
        version_phrase = f" version {version}" if version is not None else ""
        fail(f"nothing was judged of {model!r}{version_phrase} of the tenant {tenant!r}", 1, as_json)
    if as_json:
        sys.stdout.write(json.dumps(json_ready(report.to_json())) + "\n")
    else:
        sys.stdout.buffer.write(report.svg().encode("utf-8"))
