"""``verifywise-mlflow doctor``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Final

import typer

from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.display import escape_rich_markup
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, out, print_json, table
from verifywise_mlflow.services.installation.diagnosis import diagnose
from verifywise_mlflow.services.installation.finding import Finding, Outcome
from verifywise_mlflow.services.metrics.queue_state import QueueState
from verifywise_mlflow.witnesses.installation_check import check_witnesses

app = typer.Typer()

_COLORS: Final[dict[Outcome, str]] = {"ok": "green", "warning": "yellow", "problem": "red", "skipped": "dim"}


@app.command()
def doctor(
    as_json: AsJson = False,
    servers: Annotated[bool, typer.Option(help="Also send one request to the server of each tenant.")] = True,
) -> None:
    """Check this installation, and say what to do about each problem.

    Packages, tenants.yaml, secrets, policies, keys, database and its roles, locks, clocks, webhooks, Dagster's daemons
    and queue, broker, disk space, sandbox, telemetry, servers and witnesses.
    """
    with exit_on_errors(as_json):
        findings = [*diagnose(os.environ, _queue_reader(), contact_servers=servers), check_witnesses()]
    problems = sum(finding.outcome == "problem" for finding in findings)
    if as_json:
        outcome = "problems" if problems else "ready"
        print_json({"outcome": outcome, "checks": [finding.to_json() for finding in findings]})
    else:
        _print_findings(findings, problems)
    if problems:
        raise typer.Exit(FAILED)


def _print_findings(findings: list[Finding], problems: int) -> None:
    rows = table("check", "outcome", "found", unbroken=("outcome",))
    for finding in findings:
        remedy = f"\n[yellow]{escape_rich_markup(finding.remedy)}[/yellow]" if finding.remedy else ""
        color = _COLORS[finding.outcome]
        rows.add_row(
            escape_rich_markup(finding.subject),
            f"[{color}]{finding.outcome}[/{color}]",
            escape_rich_markup(finding.detail) + remedy,
        )
    out.print(rows)
    out.print(f"{problems} problems" if problems != 1 else "1 problem", style="red" if problems else "green")


def _queue_reader() -> Callable[[], QueueState] | None:
    if not os.environ.get("DAGSTER_HOME"):
        return None
    from verifywise_mlflow.defs.run_queue.queue_reading import QueueReader  # Dagster: 1.5 s

    return QueueReader()
