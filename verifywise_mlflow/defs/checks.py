"""The policy's rules as asset checks on ``compliance_results``, one result a tenant.

Dagster marks partitioned checks as a preview. Without them each tenant's result would overwrite the
tenant's before it, so the page would only ever show the last one synced.
"""

import warnings
from collections import Counter
from collections.abc import Iterator

import dagster as dg

from verifywise_mlflow.compliance.policy import default_policy
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.verdicts import offenders, rule_counts

_OPEN = (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_EVIDENCED)


def check_name(rule_id: str) -> str:
    """Return a rule's id as Dagster takes it for a name."""
    return rule_id.replace("-", "_")


def check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """Return a check for each rule of the policy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name=check_name(rule.id), asset=asset, description=rule.title, partitions_def=tenant_partitions
            )
            for rule in default_policy().rules
        ]


def evaluate_checks(store: Store, tenant_id: str) -> Iterator[dg.AssetCheckResult]:
    """Fold the tenant's verdicts into one result a rule: a gap is a warning, never an error of the pipeline."""
    with store.begin(tenant_id) as connection:
        counts: dict[str, Counter[str]] = {}
        for counted in rule_counts(connection, tenant_id):
            counts.setdefault(counted.rule_id, Counter())[counted.verdict] = counted.versions
        for rule in default_policy().rules:
            of_rule = counts.get(rule.id, Counter())
            open_versions = sum(of_rule[verdict] for verdict in _OPEN)
            worst = offenders(connection, tenant_id, rule_id=rule.id)
            records = [
                dg.TableRecord(
                    {
                        "model": item.model_name,
                        "version": item.version_number,
                        "verdict": item.verdict,
                        "reason": item.reason,
                    }
                )
                for item in worst
            ]
            yield dg.AssetCheckResult(
                check_name=check_name(rule.id),
                passed=open_versions == 0,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"{open_versions} of {of_rule.total()} versions of {tenant_id} need attention",
                metadata={
                    **{verdict.value: dg.MetadataValue.int(of_rule[verdict]) for verdict in Verdict},
                    **({"versions": dg.MetadataValue.table(records)} if records else {}),
                    "remedy": dg.MetadataValue.text(rule.remedy),
                },
            )
