"""A tenant's current compliance as Dagster events: its metrics over time and a check result for each rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.defs.assets.asset_metadata import MetadataEntry
from verifywise_mlflow.defs.assets.compliance_metrics import compliance_metrics_event, compliance_metrics_key
from verifywise_mlflow.defs.checks.gap_tables import urgent_gaps_table
from verifywise_mlflow.defs.checks.rule_description import RuleDescription
from verifywise_mlflow.defs.checks.rule_results import rule_check_results
from verifywise_mlflow.defs.dagster_compat.event_log import latest_materialization
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.compliance_summary import FORMULAS, ComplianceSummary, summarize_compliance
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True)
class ComplianceEvents:
    """The events for a tenant's compliance at a given time."""

    tenant: Tenant
    rules: RuleSet
    summary: ComplianceSummary
    evaluated_at: datetime

    @classmethod
    def load(cls, store: Store, tenant: Tenant) -> ComplianceEvents:
        """Read the tenant's current compliance from the store."""
        rules, now = load_rules(tenant), datetime.now(UTC)
        return cls(tenant, rules, summarize_compliance(store, tenant.tenant_id, rules, now), now)

    def metadata(self) -> dict[str, MetadataEntry]:
        """Return the metadata of the materialization of ``compliance_results``."""
        over_time = dg.MetadataValue.asset(compliance_metrics_key(self.tenant.tenant_id))
        urgent = urgent_gaps_table(self.summary.urgent_gaps(), self.evaluated_at)
        return {**self.summary.metrics(), **FORMULAS, **urgent, "over_time": over_time}

    def metrics_event(self) -> dg.AssetMaterialization:
        """Return the materialization that Dagster plots over time."""
        return compliance_metrics_event(self.tenant.tenant_id, self.summary)

    def check_results(
        self, descriptions: Mapping[str, RuleDescription], instance: dg.DagsterInstance
    ) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield a result for each check that Dagster knows."""
        target = latest_materialization(instance, dg.AssetKey(Stage.COMPLIANCE_RESULTS.value), self.tenant.tenant_id)
        return rule_check_results(self.tenant, self.rules, self.summary, descriptions, self.evaluated_at, target)
