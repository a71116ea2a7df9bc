"""The demo's summary: results in a few lines, and links to the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from textwrap import shorten
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from verifywise_mlflow.compliance.badge import BADGE_MEANINGS, VERSION_RULE, Badge, BadgeTone
from verifywise_mlflow.compliance.gap_urgency import UrgentGap
from verifywise_mlflow.demo.wait_for_syncs import SyncOutcome
from verifywise_mlflow.persistence.queries.overview import Overview
from verifywise_mlflow.services.agents import AgentRow

_COLORS: Final[Mapping[BadgeTone, str]] = {"good": "green", "warning": "yellow", "bad": "red"}


def print_summary(console: Console, overviews: Mapping[str, Overview]) -> None:
    """Print one row per tenant, then the verdicts that need attention first."""
    badges_shown = (f"[{_COLORS[BADGE_MEANINGS[badge].tone]}]{badge}[/]" for badge in Badge)
    counts = Table("tenant", "models", "versions", *badges_shown, box=None, padding=(0, 2, 0, 0))
    for tenant_id, tenant_overview in overviews.items():
        badges = (str(tenant_overview.badges.get(badge, 0)) for badge in Badge)
        counts.add_row(escape(tenant_id), str(tenant_overview.models), str(tenant_overview.versions), *badges)
    console.print(counts)
    console.print(f"A version is {VERSION_RULE}", style="dim", highlight=False)

    console.print("Needs attention first:")
    for tenant_id, tenant_overview in overviews.items():
        for urgent in most_urgent_per_model(tenant_overview.urgent):
            gap = urgent.gap
            version = f"{tenant_id}, {gap.model_name}, version {gap.version_number}"
            console.print(
                f"  [bold]{escape(version)}[/bold]: {urgent.severity}: {gap.verdict}: {gap.rule_id}", highlight=False
            )
            reason = shorten(gap.reason, 150, placeholder=" …")
            console.print(Padding(escape(reason), (0, 0, 0, 4)), highlight=False)


def print_agents(console: Console, agents: Iterable[AgentRow]) -> None:
    """Print each agent with the prompts that it uses and the versions that were registered from it."""
    for row in agents:
        uses = ", ".join(row.prompts) or "no prompt of the registry"
        registered = ", ".join(row.registered_as) or "no version"
        line = f"Agent {row.agent_name or row.model_id} of {row.tenant}: uses {uses}; registered as {registered}"
        console.print(shorten(line, 150, placeholder=" …"), markup=False, highlight=False)


def most_urgent_per_model(urgent_gaps: Sequence[UrgentGap], *, limit: int = 3) -> list[UrgentGap]:
    """Return the most urgent gap of each model, for at most `limit` models."""
    first_of_each: dict[str, UrgentGap] = {}
    for urgent in urgent_gaps:
        first_of_each.setdefault(urgent.gap.model_name, urgent)
    return list(first_of_each.values())[:limit]


def print_failures(console: Console, outcomes: Sequence[SyncOutcome], dagster_uri: str) -> None:
    """Print which syncs failed, why, and the address of their logs."""
    for outcome in outcomes:
        if outcome.failure is not None:
            console.print(f"[red]The sync of {escape(outcome.tenant_id)} failed:[/red] {escape(outcome.failure)}")
            console.print(f"  {dagster_uri}/runs/{outcome.run_id}", soft_wrap=True)


def print_addresses(console: Console, dagster_uri: str, mlflow_uri: str, tenant_ids: Sequence[str]) -> None:
    """Print the addresses to open in a browser, one per line and unwrapped, so that they stay clickable."""
    addresses = {
        "Lineage in Dagster": f"{dagster_uri}/asset-groups",
        "Partitions": f"{dagster_uri}/assets/compliance_results?view=partitions",
        "Syncs": f"{dagster_uri}/runs",
    } | {f"MLflow of {tenant_id}": f"{mlflow_uri}/#/models?workspace={tenant_id}" for tenant_id in tenant_ids}
    console.print("Open in a browser:")
    for title, address in addresses.items():
        console.print(f"  {title:24} {address}", markup=False, highlight=False, soft_wrap=True)


def print_commands(console: Console, environment_file: Path) -> None:
    """Print the commands that query the demo from another terminal."""
    console.print("Or query it from another terminal:")
    home = quote(str(environment_file.parent))
    for line in (
        f". {quote(str(environment_file))}",
        "verifywise-mlflow show acme-bank credit-scoring 3",
        "verifywise-mlflow systems acme-bank",
        "verifywise-mlflow agents globex-health    # which prompts an agent uses, and what was registered from it",
        "verifywise-mlflow pack acme-bank credit-scoring 3 --output credit-scoring-3.zip",
        f"verifywise-mlflow demo live --home {home}    # an owner leaves, and the badge turns within seconds",
        "verifywise-mlflow --help",
    ):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
