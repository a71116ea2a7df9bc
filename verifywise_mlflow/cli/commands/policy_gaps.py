"""``verifywise-mlflow policy gaps``: the gaps that most need a person."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from verifywise_mlflow.cli.arguments import Limit, TenantName, configured_tenant
from verifywise_mlflow.cli.display import display, display_name, json_ready
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, out, table
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.open_gaps import urgent_gaps
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.compliance_summary import days_open
from verifywise_mlflow.services.tenant_policies import load_rules


def gaps(tenant: TenantName, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List the open gaps that most need a person: by severity, then by lifecycle stage, then by age, oldest first.

    Waived gaps are left out. Every other list of gaps has the same order.
    """
    now = datetime.now(UTC)
    with exit_on_errors(as_json):
        severities = load_rules(configured_tenant(tenant)).severities
        with Store(database_url()) as store, store.begin(tenant) as session:
            urgent = urgent_gaps(session, now, severities, limit)
    if as_json:
        documents = [
            {"severity": entry.severity.value, "days_open": days_open(entry.gap.open_since, now), **asdict(entry.gap)}
            for entry in urgent
        ]
        sys.stdout.write(json.dumps(json_ready({"tenant": tenant, "gaps": documents})) + "\n")
        return
    if not urgent:
        out.print("No gap is open, apart from waived ones.")
        return
    rows = table(
        "severity", "version", "rule", "days open", "verdict, reason", unbroken=("rule",), right=("days open",)
    )
    for entry in urgent:
        gap = entry.gap
        version = display_name(f"{gap.model_name} {gap.version_number}")
        rows.add_row(
            entry.severity.value,
            version.append(f"\n{gap.lifecycle_stage}") if gap.lifecycle_stage else version,
            display(gap.rule_id),
            f"{days_open(gap.open_since, now):,}",
            display(f"{gap.verdict}: {gap.reason}"),
        )
    out.print(rows)
