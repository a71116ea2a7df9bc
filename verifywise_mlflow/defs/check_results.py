"""A tenant's standing as Dagster shows it: a result for each rule, with the worst gaps and where to go on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

import dagster as dg

from verifywise_mlflow.compliance.ruleset import RuleSet
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.defs.figures_over_time import over_time
from verifywise_mlflow.defs.links import pages_of_references, pages_of_versions, shown
from verifywise_mlflow.persistence.gaps import Gap
from verifywise_mlflow.pipeline.standing import RuleStanding, Standing, days_open
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow.tenants.version_page import version_page

_TABLE = dg.TableSchema(
    [
        dg.TableColumn("model"),
        dg.TableColumn("version", "int"),
        dg.TableColumn("stage"),
        dg.TableColumn("verdict"),
        dg.TableColumn("days_open", "int"),
        dg.TableColumn("reason"),
        dg.TableColumn("waived", "bool"),
        dg.TableColumn("page", description="of the version in the tenant's MLflow"),
    ]
)


def check_name(rule_id: str) -> str:
    """Return a rule's id as Dagster takes it for a name."""
    return rule_id.replace("-", "_")


def check_results(
    tenant: Tenant, rules: RuleSet, standing: Standing, known: Collection[str], now: datetime
) -> Iterator[dg.AssetCheckResult]:
    """Yield one result a rule: a gap is a warning, never an error of the pipeline.

    Args:
        tenant: whose.
        rules: that the tenant is asked.
        standing: what came of them.
        known: the names of the checks that Dagster knows. Of each it wants a result, or the run fails, also where the
            tenant is not asked the rule; of a rule that came later it takes none.
        now: what the gaps' age is told from.
    """
    asked = {check_name(rule.id) for rule in rules.rules}
    for name in known:
        if name not in asked:
            yield dg.AssetCheckResult(
                check_name=name,
                passed=True,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"no policy of {tenant.tenant_id} asks for this: nothing was judged",
                metadata={"asked": dg.MetadataValue.bool(False)},
            )
    for one in standing.rules:
        if check_name(one.rule.id) in known:
            yield _result(tenant, rules, one, now)


def _result(tenant: Tenant, rules: RuleSet, standing: RuleStanding, now: datetime) -> dg.AssetCheckResult:
    rule, policy = standing.rule, rules.policy_of[standing.rule.id]
    also = f"; {standing.waived} more are waived" if standing.waived else ""
    references = [one for one in rule.references if not rules.frameworks or one.framework in rules.frameworks]
    return dg.AssetCheckResult(
        check_name=check_name(rule.id),
        passed=not standing.open,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{standing.open} of {standing.judged} versions of {tenant.tenant_id} need attention{also}",
        metadata={
            **{verdict.value: standing.verdicts.get(verdict, 0) for verdict in Verdict},
            "open": standing.open,
            "waived": standing.waived,
            **({"oldest_gap_days": standing.oldest_days} if standing.oldest_days is not None else {}),
            "severity": rule.severity.value,
            "policy": f"{policy.id} {policy.version}",
            **_worst(tenant, standing, now),
            **({"references": pages_of_references(references)} if references else {}),
            "rationale": rule.rationale,
            "remedy": rule.remedy,
            "over_time": dg.MetadataValue.asset(over_time(tenant.tenant_id)),
        },
    )


def _worst(
    tenant: Tenant, standing: RuleStanding, now: datetime
) -> dict[str, dg.TableMetadataValue | dg.MarkdownMetadataValue]:
    if not standing.worst:
        return {}
    return {
        "versions": dg.MetadataValue.table([_record(tenant, gap, now) for gap in standing.worst], schema=_TABLE),
        "pages": pages_of_versions(tenant, standing.worst),
    }


def _record(tenant: Tenant, gap: Gap, now: datetime) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "model": shown(gap.model_name),
            "version": gap.version_number,
            "stage": gap.lifecycle_stage,
            "verdict": gap.verdict,
            "days_open": days_open(gap.open_since, now),
            "reason": shown(gap.reason),
            "waived": gap.is_waived,
            "page": version_page(tenant, gap.model_name, gap.version_number),
        }
    )
