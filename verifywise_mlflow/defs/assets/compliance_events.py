"""How a tenant stands now, as events: its figures over time, and a result for each rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.defs.assets.asset_metadata import Shown
from verifywise_mlflow.defs.assets.compliance_metrics import figures_event, over_time
from verifywise_mlflow.defs.checks.rule_description import DescribedRule
from verifywise_mlflow.defs.checks.rule_results import check_results
from verifywise_mlflow.defs.looked_at import newest_materialization
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import Stage
from verifywise_mlflow.services.compliance_summary import Standing, standing
from verifywise_mlflow.services.tenant_policies import rules_of
from verifywise_mlflow.tenants.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Judged:
    """How a tenant stands by the rules that it is asked."""

    tenant: Tenant
    rules: RuleSet
    standing: Standing
    at: datetime

    @classmethod
    def now(cls, store: Store, tenant: Tenant) -> Judged:
        """Look into our store."""
        rules, at = rules_of(tenant), datetime.now(UTC)
        return cls(tenant, rules, standing(store, tenant.tenant_id, rules, at), at)

    def figures(self) -> dict[str, Shown]:
        """Return what stands beside the materialization."""
        return {**self.standing.figures(), "over_time": dg.MetadataValue.asset(over_time(self.tenant.tenant_id))}

    def over_time(self) -> dg.AssetMaterialization:
        """Return the figures as those that are plotted."""
        return figures_event(self.tenant.tenant_id, self.standing)

    def results(
        self, known: Mapping[str, DescribedRule], instance: dg.DagsterInstance
    ) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield a result for each of the checks."""
        looked_at = newest_materialization(instance, Stage.COMPLIANCE_RESULTS, self.tenant.tenant_id)
        return check_results(self.tenant, self.rules, self.standing, known, self.at, looked_at)
