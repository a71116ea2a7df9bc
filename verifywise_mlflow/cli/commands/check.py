"""``verifywise-mlflow check``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import typer

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.arguments import TenantName, described_tenant
from verifywise_mlflow.cli.output import AsJson, errors_as_sentences, out, table
from verifywise_mlflow.common.untrusted_text import inert_markup
from verifywise_mlflow.services.connection_check import CheckReport
from verifywise_mlflow.services.connection_check import check as check_tenant


@app.command()
def check(tenant: TenantName, as_json: AsJson = False) -> None:
    """Try out what a tenant's server lets us read; nothing is kept."""
    with errors_as_sentences(as_json):
        report = check_tenant(described_tenant(tenant))
    if as_json:
        sys.stdout.write(
            json.dumps({"outcome": "readable" if report.is_readable else "not readable", **asdict(report)})
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
        f"MLflow {inert_markup(server.version or 'of unknown version')}"
        f"{', with ' + ' and '.join(features) if features else ''}; we are {inert_markup(report.identity)}; "
        f"{report.requests} requests",
        highlight=False,
    )
    shown = table("what", "outcome", "found")
    colours = {"readable": "green", "nothing there": "yellow"}
    for tried in report.tried:
        mend = f"\n[yellow]{inert_markup(tried.mend)}[/yellow]" if tried.mend else ""
        colour = colours.get(tried.outcome, "red")
        shown.add_row(tried.what, f"[{colour}]{tried.outcome}[/{colour}]", inert_markup(tried.found) + mend)
    out.print(shown)
