"""The policies' rules as asset checks on ``compliance_results``, one result a tenant.

Dagster marks partitioned checks as a preview. Without them each tenant's result would overwrite the
tenant's before it, so the page would only ever show the last one synced.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

import dagster as dg

from verifywise_mlflow.compliance.policy import default_policy
from verifywise_mlflow.compliance.rules import Rule, Severity
from verifywise_mlflow.compliance.ruleset import RuleSet
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.verdicts import OPEN, RuleCount, offenders, rule_counts
from verifywise_mlflow.pipeline.policies import rules_of
from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants
from verifywise_mlflow.tenants.tenant import Tenant


def check_name(rule_id: str) -> str:
    """Return a rule's id as Dagster takes it for a name."""
    return rule_id.replace("-", "_")


def check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """Return a check for each rule that any tenant is asked.

    Dagster has to know them when it loads the code: a policy that comes later shows once that was reloaded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name=check_name(rule.id), asset=asset, description=rule.title, partitions_def=tenant_partitions
            )
            for rule in known_rules().values()
        ]


def known_rules() -> dict[str, Rule]:
    """Return the rules of the default policy, and those of the policies that tenants.yaml names, by their ids.

    What cannot be read is left out, so that the page loads all the same; the tenant's next sync says what is wrong.
    """
    rules = {rule.id: rule for rule in default_policy().rules}
    try:
        described = load_tenants()
    except TenantsFileError:
        return rules
    for tenant in described.values():
        try:
            asked = rules_of(tenant).rules
        except TenantsFileError as error:
            logging.getLogger(__name__).warning("no checks for its own rules: %s", error)
            continue
        for rule in asked:
            rules.setdefault(rule.id, rule)
    return rules


def evaluate_checks(store: Store, tenant: Tenant, known: Collection[str]) -> Iterator[dg.AssetCheckResult]:
    """Fold the tenant's verdicts into one result a rule: a gap is a warning, never an error of the pipeline.

    Args:
        store: where the verdicts are.
        tenant: whose.
        known: the names of the checks that Dagster knows. Of each it wants a result, or the run fails, also where the
            tenant is not asked the rule; of a rule that came later it takes none.
    """
    rules, now = rules_of(tenant), datetime.now(UTC)
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
    with store.begin(tenant.tenant_id) as connection:
        counted: dict[str, list[RuleCount]] = {}
        for one in rule_counts(connection, tenant.tenant_id, now):
            counted.setdefault(one.rule_id, []).append(one)
        for rule in rules.rules:
            if check_name(rule.id) not in known:
                continue
            worst = [
                dg.TableRecord(
                    {
                        "model": item.model_name,
                        "version": item.version_number,
                        "verdict": item.verdict,
                        "reason": item.reason,
                        "waived": item.is_waived,
                    }
                )
                for item in offenders(connection, tenant.tenant_id, rule_id=rule.id, at=now)
            ]
            yield _result(tenant.tenant_id, rule, rules, counted.get(rule.id, []), worst)


def _result(
    tenant_id: str, rule: Rule, rules: RuleSet, counts: list[RuleCount], worst: list[dg.TableRecord]
) -> dg.AssetCheckResult:
    versions: Counter[str] = Counter({one.verdict: one.versions for one in counts})
    gaps = sum(versions[verdict] for verdict in OPEN)
    waived = sum(one.waived for one in counts)
    also = f"; {waived} more are waived" if waived else ""
    shown = [one for one in rule.references if not rules.frameworks or one.framework in rules.frameworks]
    policy = rules.policy_of[rule.id]
    return dg.AssetCheckResult(
        check_name=check_name(rule.id),
        passed=gaps == waived,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{gaps - waived} of {versions.total()} versions of {tenant_id} need attention{also}",
        metadata={
            **{verdict.value: dg.MetadataValue.int(versions[verdict]) for verdict in Verdict},
            "open": dg.MetadataValue.int(gaps - waived),
            "waived": dg.MetadataValue.int(waived),
            "severity": dg.MetadataValue.text(Severity(rule.severity).value),
            "policy": dg.MetadataValue.text(f"{policy.id} {policy.version}"),
            **({"versions": dg.MetadataValue.table(worst)} if worst else {}),
            **(
                {"references": dg.MetadataValue.text("; ".join(f"{one.framework} {one.clause}" for one in shown))}
                if shown
                else {}
            ),
            "remedy": dg.MetadataValue.text(rule.remedy),
        },
    )
