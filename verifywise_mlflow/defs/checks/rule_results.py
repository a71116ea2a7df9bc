"""A tenant's standing as Dagster shows it: a result for each rule, with the worst gaps and where to go on.

Dagster keeps each result of each sync, twice, and its text three times more: so a result holds what this sync found,
and what is the same from sync to sync stands once, in the check's description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import dagster as dg

from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.defs.assets.asset_metadata import cell
from verifywise_mlflow.defs.checks.rule_description import DescribedRule, check_name
from verifywise_mlflow.defs.looked_at import LookedAt
from verifywise_mlflow.defs.markdown import pages_of_references, pages_of_versions, shown
from verifywise_mlflow.persistence.queries.open_gaps import Gap
from verifywise_mlflow.pipeline.context import Stage
from verifywise_mlflow.services.compliance_summary import RuleStanding, Standing, days_open
from verifywise_mlflow.tenants.tenant import Tenant

_TABLE = dg.TableSchema(
    [
        dg.TableColumn("version"),
        dg.TableColumn("verdict"),
        dg.TableColumn("days_open", "int"),
        dg.TableColumn("reason"),
    ]
)

_Value = int | str | dg.BoolMetadataValue | dg.TableMetadataValue | dg.MarkdownMetadataValue


def check_results(
    tenant: Tenant,
    rules: RuleSet,
    standing: Standing,
    known: Mapping[str, DescribedRule],
    now: datetime,
    looked_at: LookedAt | None = None,
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield one result a rule: a gap is a warning, never an error of the pipeline.

    Args:
        tenant: whose.
        rules: that the tenant is asked.
        standing: what came of them.
        known: the checks that Dagster knows, by their names, as it describes them. Of each there is a result, also
            where the tenant is not asked the rule; of a rule that came later there is none.
        now: what the gaps' age is told from.
        looked_at: the materialization that the results are of.
    """
    asked = {check_name(rule.id) for rule in rules.rules}
    for name in known:
        if name not in asked:
            told = f"no policy of {tenant.tenant_id} asks for this: nothing was judged"
            yield _evaluation(tenant, name, True, told, {"asked": dg.MetadataValue.bool(False)}, looked_at)
    for one in standing.rules:
        name = check_name(one.rule.id)
        if name in known:
            also = f"; {one.waived} more are waived" if one.waived else ""
            told = f"{one.open} of {one.judged} versions of {tenant.tenant_id} need attention{also}"
            figures = {**_figures(one), **_worst(tenant, one, now), **_otherwise(rules, one, known[name])}
            yield _evaluation(tenant, name, not one.open, told, figures, looked_at)


def _evaluation(
    tenant: Tenant, name: str, passed: bool, told: str, metadata: Mapping[str, _Value], looked_at: LookedAt | None
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(Stage.COMPLIANCE_RESULTS.value),
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=told,
        metadata=metadata,
        target_materialization_data=looked_at,
        partition=tenant.tenant_id,
    )


def _figures(standing: RuleStanding) -> dict[str, int]:
    """Return how many versions have which verdict; what there is none of is left out."""
    counts = {verdict.value: standing.verdicts.get(verdict, 0) for verdict in Verdict}
    counts |= {"open": standing.open, "waived": standing.waived}
    oldest = {"oldest_gap_days": standing.oldest_days} if standing.oldest_days is not None else {}
    return {name: count for name, count in counts.items() if count} | oldest


def _worst(tenant: Tenant, standing: RuleStanding, now: datetime) -> dict[str, _Value]:
    # `verifywise-mlflow policy rules` counts all, and the views of the database list them.
    if not standing.worst:
        return {}
    return {
        "versions": dg.MetadataValue.table([_record(gap, now) for gap in standing.worst], schema=_TABLE),
        "pages": pages_of_versions(tenant, standing.worst),
    }


def _record(gap: Gap, now: datetime) -> dg.TableRecord:
    # Few columns: Dagster describes each anew in each result, in more bytes than are in them.
    stage = f" ({gap.lifecycle_stage})" if gap.lifecycle_stage else ""
    return dg.TableRecord(
        {
            "version": f"{shown(gap.model_name)} version {gap.version_number}{stage}",
            "verdict": f"{gap.verdict}, waived" if gap.is_waived else gap.verdict,
            "days_open": days_open(gap.open_since, now),
            "reason": cell(gap.reason),  # `verifywise-mlflow policy explain` has all of it
        }
    )


def _otherwise(rules: RuleSet, standing: RuleStanding, known: DescribedRule) -> dict[str, _Value]:
    """Return what the tenant's policy says otherwise than the check's description, which is the same for all."""
    rule = standing.rule
    own = DescribedRule(rule, rules.policy_of[rule.id])
    references = [one for one in rule.references if not rules.frameworks or one.framework in rules.frameworks]
    told: dict[str, _Value] = {}
    if own.policy_name != known.policy_name:
        told |= {"policy": own.policy_name}
    if rule.title != known.rule.title:
        told |= {"title": rule.title}
    if (rule.severity, rule.rationale, rule.remedy) != (known.rule.severity, known.rule.rationale, known.rule.remedy):
        told |= {"severity": rule.severity.value, "rationale": rule.rationale, "remedy": rule.remedy}
    if references and tuple(references) != known.rule.references:
        told |= {"references": pages_of_references(references)}
    return told
