"""``verifywise-mlflow check``."""

from __future__ import annotations

import json
import sys

import typer

from verifywise_mlflow.cli.arguments import TenantName, configured_tenant
from verifywise_mlflow.cli.display import escape_rich_markup
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, out, table
from verifywise_mlflow.services.connection_check import CheckReport
from verifywise_mlflow.services.connection_check import check_connection as check_tenant

app = typer.Typer()


@app.command()
def check(tenant: TenantName, as_json: AsJson = False) -> None:
    """Check what a tenant's server lets this account read. Nothing is stored."""
    with exit_on_errors(as_json):
        report = check_tenant(configured_tenant(tenant))
    if as_json:
        sys.stdout.write(
            json.dumps({"outcome": "readable" if report.is_readable else "not readable", **report.to_json()})
        )
        sys.stdout.write("\n")
    else:
        _print_check(report)
    if not report.is_readable:
        raise typer.Exit(1)


def _print_check(report: CheckReport) -> None:
    server = report.server
    features = [
        name
        for name, offered in (("workspaces", server.workspaces), ("logged models", server.logged_models))
        if offered
    ]
    out.print(
        f"MLflow {escape_rich_markup(server.version or 'of unknown version')}"
        f"{', with ' + ' and '.join(features) if features else ''}; "
        f"authenticated as {escape_rich_markup(report.identity)}; "
        f"{report.requests} requests",
        highlight=False,
    )
    results_table = table("what", "outcome", "found")
    colors = {"readable": "green", "nothing there": "yellow"}
    for tried in report.results:
        mend = f"\n[yellow]{escape_rich_markup(tried.remedy)}[/yellow]" if tried.remedy else ""
        color = colors.get(tried.outcome, "red")
        results_table.add_row(
            tried.subject, f"[{color}]{tried.outcome}[/{color}]", escape_rich_markup(tried.detail) + mend
        )
    out.print(results_table)
