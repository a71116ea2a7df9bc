"""``verifywise-mlflow inventory``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.inventory_output import print_inventory
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.list_options import (
    AiSystemNames,
    Models,
    Owners,
    Risks,
    Stages,
    Tenants,
    choice_option,
    text_option,
)
from verifywise_mlflow.cli.output import AsJson
from verifywise_mlflow.cli.table_output import TableFile, check_output, write_output
from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.exports.json_documents.inventory import InventoryDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.version_filter import NOT_EVALUATED, OPTIONAL_FIELDS, VersionFilter
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.inventory import InventoryFilter, InventoryRow, inventory_of
from verifywise_mlflow.services.per_tenant_reading import readable_tenants

app = typer.Typer()

_LIMIT = 100
"""The maximum number of versions that are printed for people, unless an option sets another number."""


@app.command()
def inventory(
    tenants: Tenants = None,
    model: Models = None,
    system: AiSystemNames = None,
    stage: Stages = None,
    owner: Owners = None,
    risk: Risks = None,
    badge: Annotated[
        list[str] | None, choice_option("--badge", "Only this badge", [*map(str, Badge), NOT_EVALUATED])
    ] = None,
    missing: Annotated[
        list[str] | None,
        choice_option(
            "--missing",
            "Only versions without a value in this field of the record, such as owner",
            OPTIONAL_FIELDS,
            metavar="FIELD",
        ),
    ] = None,
    library: Annotated[
        list[str] | None, text_option("--library", "FLAVOR", "Only models of this MLflow flavor, such as sklearn.")
    ] = None,
    framework: Annotated[
        list[str] | None,
        text_option(
            "--framework",
            "FRAMEWORK",
            "Only versions to which a rule applies that refers to this framework, such as GDPR.",
        ),
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Also versions that MLflow no longer has.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(help=f"Maximum number of versions of each tenant; {_LIMIT} unless FILE or --json.", min=1),
    ] = None,
    output: TableFile = None,
    as_json: AsJson = False,
) -> None:
    """List the model versions of tenants: stage, aliases, owner, purpose, risk, badge, AI system, times.

    Repeat an option for alternatives; different options narrow the list. Times are UTC. Reads the database only.
    """
    check_output(output, as_json)
    wanted = InventoryFilter(
        VersionFilter(
            models=tuple(model or ()),
            stages=tuple(stage or ()),
            owners=tuple(owner or ()),
            risks=tuple(risk or ()),
            badges=tuple(badge or ()),
            missing=tuple(missing or ()),
            libraries=tuple(library or ()),
            includes_deleted=deleted,
        ),
        ai_systems=tuple(system or ()),
        frameworks=tuple(framework or ()),
    )
    now = datetime.now(UTC)
    with exit_on_errors(as_json), Store(database_url()) as store:
        names = readable_tenants(store, tenants or ())
        if output is not None:
            write_output(output, InventoryRow, inventory_of(store, names, wanted, limit))
        elif as_json:
            document = InventoryDocument(at=now, tenants=tuple(names))
            print_document(document, versions=inventory_of(store, names, wanted, limit))
        else:
            most = limit or _LIMIT
            rows = inventory_of(store, names, wanted, most + 1)  # one more row shows that rows are left out
            print_inventory(rows, most, shows_tenants=len(names) != 1)
