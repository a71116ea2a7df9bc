"""A tenant's compliance as check results: one per rule, with the worst gaps and links to their versions.

Dagster stores each result of each sync twice, and its text three more times. So a result holds only the findings of
this sync; texts that are the same for all syncs are in the check's description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import dagster as dg

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.rules.ruleset import RuleSet
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.defs.checks.gap_tables import worst_gaps_table
from verifywise_mlflow.defs.checks.rule_description import RuleDescription, check_name
from verifywise_mlflow.defs.dagster_compat.event_log import TargetMaterialization
from verifywise_mlflow.defs.markdown import reference_links
from verifywise_mlflow.services.compliance_summary import ComplianceSummary, RuleSummary
from verifywise_mlflow.tenants.tenant import Tenant

_MetadataEntry = int | str | dg.BoolMetadataValue | dg.TableMetadataValue | dg.MarkdownMetadataValue


def rule_check_results(
    tenant: Tenant,
    rules: RuleSet,
    summary: ComplianceSummary,
    descriptions: Mapping[str, RuleDescription],
    now: datetime,
    target: TargetMaterialization | None = None,
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield one result per check. A gap is a warning, never an error of the pipeline.

    Versions on which the rule is undecided because they could not be read are a warning, too.

    Args:
        tenant: the tenant that was evaluated.
        rules: the tenant's rules.
        summary: the outcome of these rules.
        descriptions: the checks that Dagster knows, by name. Each of them gets a result, even if the tenant's policies
            do not contain the rule. A rule that was added after the code was loaded gets no result.
        now: the time at which the age of gaps is computed.
        target: the materialization that the results belong to.
    """
    tenant_checks = {check_name(rule.id) for rule in rules.rules}
    for name in descriptions:
        if name not in tenant_checks:
            text = f"Not evaluated: no policy of {tenant.tenant_id} contains this rule"
            yield _evaluation(tenant, name, True, text, {"is_evaluated": dg.MetadataValue.bool(False)}, target)
    for rule in summary.rules:
        name = check_name(rule.rule.id)
        if name in descriptions:
            waived = f"; {rule.waived_gaps} more are waived" if rule.waived_gaps else ""
            unread = rule.verdicts.get(Verdict.NOT_READ, 0)
            undecided = f"; {unread} more are undecided, since they could not be read completely" if unread else ""
            needy = f"{rule.open_gaps} of {rule.evaluated_versions} versions of {tenant.tenant_id} need attention"
            text = f"{needy}{waived}{undecided}"
            metadata = {
                **_counts(rule),
                **worst_gaps_table(tenant, rule.worst_gaps, now),
                **_policy_differences(rules, rule, descriptions[name]),
            }
            yield _evaluation(tenant, name, not rule.open_gaps and not unread, text, metadata, target)


def _evaluation(
    tenant: Tenant,
    name: str,
    passed: bool,
    text: str,
    metadata: Mapping[str, _MetadataEntry],
    target: TargetMaterialization | None,
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(Stage.COMPLIANCE_RESULTS.value),
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata=metadata,
        target_materialization_data=target,
        partition=tenant.tenant_id,
    )


def _counts(rule: RuleSummary) -> dict[str, int]:
    """Return the number of versions for each verdict, and of gaps; zeros are left out."""
    counts = {verdict.value: rule.verdicts.get(verdict, 0) for verdict in Verdict}
    counts |= {"open": rule.open_gaps, "waived": rule.waived_gaps}
    oldest = {"oldest_gap_days": rule.oldest_gap_days} if rule.oldest_gap_days is not None else {}
    return {name: count for name, count in counts.items() if count} | oldest


def _policy_differences(
    rules: RuleSet, rule_summary: RuleSummary, description: RuleDescription
) -> dict[str, _MetadataEntry]:
    """Return how the tenant's policy differs from the check's description, which is the same for all tenants."""
    rule, described = rule_summary.rule, description.rule
    policy_name = RuleDescription(rule, rules.policy_of[rule.id]).policy_name
    references = [
        reference for reference in rule.references if not rules.frameworks or reference.framework in rules.frameworks
    ]
    differences: dict[str, _MetadataEntry] = {}
    if policy_name != description.policy_name:
        differences |= {"policy": policy_name}
    if rule.title != described.title:
        differences |= {"title": rule.title}
    if (rule.severity, rule.rationale, rule.remedy) != (described.severity, described.rationale, described.remedy):
        differences |= {"severity": rule.severity.value, "rationale": rule.rationale, "remedy": rule.remedy}
    if references and tuple(references) != described.references:
        differences |= {"references": reference_links(references, rules.catalog)}
    return differences
