"""The policies' rules as asset checks on ``compliance_results``, each with a result for each tenant.

Dagster marks partitioned checks as a preview. Without them each tenant's result would overwrite the
tenant's before it, so the page would only ever show the last one synced.
"""

import logging
import warnings
from collections.abc import Mapping

import dagster as dg

from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.defs.checks.rule_description import DescribedRule, check_name
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.services.tenant_policies import rules_of
from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants


def check_specs(asset: str, known: Mapping[str, DescribedRule]) -> list[dg.AssetCheckSpec]:
    """Return a check for each rule that any tenant is asked.

    Dagster has to know them when it loads the code: a policy that comes later shows once that was reloaded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            # Of what stands beside a check Dagster's pages show the description alone, and read it as Markdown.
            dg.AssetCheckSpec(name=name, asset=asset, description=one.markdown, partitions_def=tenant_partitions)
            for name, one in known.items()
        ]


def known_rules() -> dict[str, DescribedRule]:
    """Return the rules of the default policy, and those of the policies that tenants.yaml names, by their checks.

    What cannot be read is left out, so that the page loads all the same; the tenant's next sync says what is wrong.
    """
    default = default_policy()
    known = {check_name(rule.id): DescribedRule(rule, default) for rule in default.rules}
    try:
        described = load_tenants()
    except TenantsFileError:
        return known
    for tenant in described.values():
        try:
            asked = rules_of(tenant)
        except TenantsFileError as error:
            logging.getLogger(__name__).warning("no checks for its own rules: %s", error)
            continue
        for rule in asked.rules:
            known.setdefault(check_name(rule.id), DescribedRule(rule, asked.policy_of[rule.id]))
    return known
