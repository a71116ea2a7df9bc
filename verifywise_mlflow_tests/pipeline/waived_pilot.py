"""A tenant with a policy of one rule and a waiver of this rule."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.persistence.queries import verdict_counts
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    tenant_with_policies,
)
from verifywise_mlflow_tests.support.syncing import rows

WAIVER = Waiver(rule="owner", model="fraud*", approver="Ada", reason="A pilot until spring.", expires=date(2026, 3, 3))

POLICY = Path(__file__).with_name("waived_rules.yaml")


def pilot_tenant(**compliance: object) -> Tenant:
    """Return a tenant with a small policy. Its waivers may name a pattern, as most waivers of the tests do."""
    usual = {"default_policy": False, "policies": [str(POLICY)], "waiver_limits": {"allow_patterns": True}}
    return tenant_with_policies(**{**usual, **compliance})


def waiver_entries(store: Store) -> list[tuple[object, object]]:
    entries = rows(store, "audit_entries", "sequence")
    return [(row["kind"], row["object_name"]) for row in entries if str(row["kind"]).startswith("waiver")]


def open_and_waived(store: Store, at: datetime) -> tuple[int, int]:
    with store.begin("acme") as session:
        counts = [rule_count for rule_count in verdict_counts.rule_counts(session, at) if rule_count.rule_id == "owner"]
    gaps = sum(rule_count.versions for rule_count in counts if rule_count.verdict in OPEN_VERDICTS)
    waived = sum(rule_count.waived for rule_count in counts)
    return gaps - waived, waived


def file_of(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text("waivers:\n" + "".join(f"  - {line}\n" for line in lines) if lines else "waivers: []\n")
    return path


LINE = "{rule: owner, model: fraud*, approver: Ada, reason: A pilot until spring., expires: 2026-03-03}"
