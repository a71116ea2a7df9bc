"""``verifywise-mlflow report``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from verifywise_mlflow.cli.command_catalog import FAILED, MISUSED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.json_output import print_document
from verifywise_mlflow.cli.output import AsJson, fail, fail_to_write, out
from verifywise_mlflow.common.reports_extra import explain_missing
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.exports.json_documents.report import ReportDocument
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.ai_systems import system_names
from verifywise_mlflow.services.list_filters import models_of_systems
from verifywise_mlflow.services.per_tenant_reading import read_each, readable_tenants

if TYPE_CHECKING:
    from verifywise_mlflow.documents.report.site import SiteSummary

app = typer.Typer()


@app.command()
def report(
    tenants: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TENANT]...", help="The tenants' names in the database. Without any, all of them."),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            metavar="DIRECTORY",
            help="The folder to write to: a new or empty one, or an earlier report, which is replaced when the new one "
            "is complete.",
        ),
    ] = Path("governance-report"),
    system: Annotated[
        list[str] | None,
        typer.Option("--system", metavar="NAME", help="Only the models of this AI system. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the governance report: a static site for the browser, the board and the printer.

    It needs no server and requests nothing from elsewhere: open index.html. Reads the database only.
    """
    try:
        from verifywise_mlflow.documents.report.page_folder import UnsuitableFolderError, require_replaceable
        from verifywise_mlflow.documents.report.site import write_site
    except ModuleNotFoundError as error:
        fail(explain_missing(error, "the report"), MISUSED, as_json)
    now = datetime.now(UTC)
    try:
        with exit_on_errors(as_json):
            require_replaceable(output)
            url = database_url()
            with Store(url) as store:
                names = readable_tenants(store, tenants or ())
                if system:
                    names = list(read_each(store, names, partial(_tenant_with, system)))
            if not names:
                fail("the database has no tenant: sync one first", FAILED, as_json)
            summary = write_site(partial(Store, url), names, output, now, system or ())
    except UnsuitableFolderError as error:
        fail(str(error), MISUSED, as_json)
    except OSError as error:
        fail_to_write(Path(error.filename or output), error, as_json)
    if as_json:
        print_document(_document(summary, now))
        return
    out.print(
        f"Models: {summary.models:,}. Versions: {summary.versions:,}. Pages: {summary.pages:,}. "
        f"Open {escape_invisible(str(summary.start_page))}",
        markup=False,
        soft_wrap=True,
    )


def _tenant_with(systems: Sequence[str], session: TenantSession) -> tuple[str]:
    """Return the session's tenant. An AI system that the tenant does not have is an error."""
    models_of_systems(session, system_names(session), systems)
    return (session.tenant_id,)


def _document(summary: SiteSummary, at: datetime) -> ReportDocument:
    return ReportDocument(
        at=at,
        directory=str(summary.folder),
        start_page=str(summary.start_page),
        tenants=tuple(summary.tenants),
        only_systems=tuple(summary.only_systems),
        models=summary.models,
        versions=summary.versions,
        pages=summary.pages,
    )
