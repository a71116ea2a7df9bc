"""Prints the outcome of the command ``sync``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from verifywise_mlflow.cli.display import escape_rich_markup
from verifywise_mlflow.cli.output import out, table
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.compliance.badge import VERSION_RULE
from verifywise_mlflow.persistence.queries.overview import Overview, overview
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import StageReport
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.tenant import Tenant


def overview_of(store: Store, tenant: Tenant) -> Overview:
    """Return the tenant's models, versions, badges and most urgent gaps."""
    return overview(store, tenant.tenant_id, load_rules(tenant).severities, datetime.now(UTC))


def print_reports(reports: list[StageReport]) -> None:
    """Print a table of the stages, their notes and what could not be read."""
    figures = ("read", "changed", "removed", "incomplete", "requests", "seconds")
    stage_table = table("stage", *figures, right=figures)
    for report in reports:
        progress = report.progress
        counts = (progress.read, progress.changed, progress.removed, progress.incomplete, report.requests)
        stage_table.add_row(
            report.stage.value.replace("_", " "), *(f"{count:,}" for count in counts), f"{report.seconds:.2f}"
        )
    out.print(stage_table)
    for report in reports:
        for note in report.progress.notes:
            out.print(f"{report.stage.value}: {escape_rich_markup(note.text)}", style="yellow", highlight=False)
        for item in report.progress.read_failures[:10]:
            out.print(
                f"cannot read {item.kind} {escape_rich_markup(item.name)}: {escape_rich_markup(item.reason)}",
                style="yellow",
                highlight=False,
            )
        if len(report.progress.read_failures) > 10:
            out.print(f"... and {len(report.progress.read_failures) - 10} more, all in the audit trail", style="yellow")


def print_overview(tenant: str, glance: Overview) -> None:
    """Print the tenant's badges and most urgent gaps."""
    badges = ", ".join(f"{count} {badge}" for badge, count in sorted(glance.badges.items())) or "none judged"
    out.print(f"{escape_rich_markup(tenant)}: {glance.models} models, {glance.versions} versions: {badges}")
    if glance.badges:
        out.print(f"A version is {VERSION_RULE}", style="dim", highlight=False)
    for urgent in glance.urgent:
        gap = urgent.gap
        out.print(
            f"  {urgent.severity}: {escape_rich_markup(gap.model_name)} {gap.version_number}: "
            f"{escape_rich_markup(gap.rule_id)}: {escape_rich_markup(gap.reason)}",
            highlight=False,
        )


def print_json(run: Sync, glance: Overview) -> None:
    """Print the stages and the overview for programs, in one line."""
    incomplete = any(report.progress.incomplete for report in run.reports)
    outcome = {
        "tenant": run.tenant.tenant_id,
        "sync_id": run.sync_id,
        "outcome": "incomplete" if incomplete else "complete",
        "requests": sum(report.requests for report in run.reports),
        "stages": {report.stage.value: report.counts() for report in run.reports},
        "models": glance.models,
        "versions": glance.versions,
        "badges": glance.badges,
        "urgent_gaps": [{"severity": urgent.severity.value, **asdict(urgent.gap)} for urgent in glance.urgent],
        "badge_rule": VERSION_RULE,
    }
    sys.stdout.write(json.dumps(json_ready(outcome)) + "\n")
