"""What the demo found, in a few lines, and where to look further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from textwrap import shorten

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from verifywise_mlflow.compliance.verdict import Badge
from verifywise_mlflow.demo.wait_for_syncs import SyncOutcome
from verifywise_mlflow.persistence.queries.overview import Offender, Overview

_COLOURS = {Badge.COMPLIANT: "green", Badge.GAPS: "yellow", Badge.NON_COMPLIANT: "red", Badge.INCOMPLETE: "magenta"}


def print_summary(console: Console, overviews: Mapping[str, Overview]) -> None:
    """Print a row for each tenant, and under it what most needs a person."""
    badges_shown = (f"[{colour}]{badge}[/]" for badge, colour in _COLOURS.items())
    counts = Table("tenant", "models", "versions", *badges_shown, box=None, padding=(0, 2, 0, 0))
    for tenant_id, seen in overviews.items():
        badges = (str(seen.badges.get(badge, 0)) for badge in _COLOURS)
        counts.add_row(escape(tenant_id), str(seen.models), str(seen.versions), *badges)
    console.print(counts)

    console.print("What most needs a person:")
    for tenant_id, seen in overviews.items():
        for found in telling(seen.worst):
            version = f"{tenant_id}, {found.model_name}, version {found.version_number}"
            console.print(f"  [bold]{escape(version)}[/bold]: {found.verdict}: {found.rule_id}", highlight=False)
            reason = shorten(found.reason, 150, placeholder=" …")
            console.print(Padding(escape(reason), (0, 0, 0, 4)), highlight=False)


def telling(worst: Sequence[Offender], *, limit: int = 3) -> list[Offender]:
    """Return the worst verdict of each model, of as many models as the limit says."""
    first_of_each: dict[str, Offender] = {}
    for found in worst:
        first_of_each.setdefault(found.model_name, found)
    return list(first_of_each.values())[:limit]


def print_failures(console: Console, outcomes: Sequence[SyncOutcome], dagster_uri: str) -> None:
    """Say which syncs failed, why, and where their logs are shown."""
    for outcome in outcomes:
        if outcome.failure is not None:
            console.print(f"[red]The sync of {escape(outcome.tenant_id)} failed:[/red] {escape(outcome.failure)}")
            console.print(f"  {dagster_uri}/runs/{outcome.run_id}", soft_wrap=True)


def print_addresses(console: Console, dagster_uri: str, mlflow_uri: str, tenant_ids: Sequence[str]) -> None:
    """Print what to open in a browser, a line each, unbroken: people click on them."""
    addresses = {
        "Lineage in Dagster": f"{dagster_uri}/asset-groups",
        "Partitions": f"{dagster_uri}/assets/compliance_results?view=partitions",
        "Syncs": f"{dagster_uri}/runs",
    } | {f"MLflow of {tenant_id}": f"{mlflow_uri}/#/models?workspace={tenant_id}" for tenant_id in tenant_ids}
    console.print("Open in a browser:")
    for title, address in addresses.items():
        console.print(f"  {title:24} {address}", markup=False, highlight=False, soft_wrap=True)


def print_commands(console: Console, environment_file: Path) -> None:
    """Print how another terminal asks what the demo knows."""
    console.print("Or ask in another terminal:")
    for line in (
        f". {quote(str(environment_file))}",
        "verifywise-mlflow show acme-bank credit-scoring 3",
        "verifywise-mlflow --help",
    ):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
