"""``verifywise-mlflow policy gaps``: the most urgent gaps."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from verifywise_mlflow.cli.arguments import Limit, TenantName, configured_tenant
from verifywise_mlflow.cli.display import display, display_name
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import AsJson, out, table
from verifywise_mlflow.common.json_ready import json_ready
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.gaps import Gap, GapFilter, open_gaps


def gaps(tenant: TenantName, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List the most urgent open gaps: by severity, then by lifecycle stage, then by age, oldest first.

    Waived gaps are left out. Every other list of gaps has the same order.
    """
    now = datetime.now(UTC)
    with exit_on_errors(as_json):
        configured_tenant(tenant)
        with Store(database_url()) as store, store.begin_snapshot(tenant) as session:
            urgent = list(open_gaps(session, now, GapFilter(is_waived=False), limit))
    if as_json:
        documents = [_as_json(gap) for gap in urgent]
        sys.stdout.write(json.dumps(json_ready({"tenant": tenant, "gaps": documents})) + "\n")
        return
    if not urgent:
        out.print("No gap is open, apart from waived ones.")
        return
    rows = table(
        "severity", "version", "rule", "days open", "verdict, reason", unbroken=("rule",), right=("days open",)
    )
    for gap in urgent:
        version = display_name(f"{gap.model_name} {gap.version_number}")
        rows.add_row(
            gap.severity,
            version.append(f"\n{gap.lifecycle_stage}") if gap.lifecycle_stage else version,
            display(gap.rule_id),
            f"{gap.age_days:,}",
            display(f"{gap.verdict}: {gap.reason}"),
        )
    out.print(rows)


def _as_json(gap: Gap) -> dict[str, object]:
    return {
        "severity": gap.severity,
        "days_open": gap.age_days,
        "rule_id": gap.rule_id,
        "model_name": gap.model_name,
        "version_number": gap.version_number,
        "lifecycle_stage": gap.lifecycle_stage,
        "verdict": gap.verdict,
        "reason": gap.reason,
        "open_since": gap.opened_at,
    }
