"""The rules of the policies as asset checks on ``compliance_results``, partitioned by tenant.

Partitioned checks are a preview feature of Dagster. Without partitions, each tenant's result would overwrite the
previous tenant's, and the page would show only the tenant that was synced last.
"""

import logging
import warnings
from collections.abc import Mapping

import dagster as dg

from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.defs.checks.rule_description import RuleDescription, check_name
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants


def rule_check_specs(asset: str, descriptions: Mapping[str, RuleDescription]) -> list[dg.AssetCheckSpec]:
    """Return a check for each described rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            # Dagster's pages show no metadata of a check, only its description, which they render as Markdown.
            dg.AssetCheckSpec(
                name=name, asset=asset, description=description.markdown, partitions_def=tenant_partitions
            )
            for name, description in descriptions.items()
        ]


def rule_descriptions() -> dict[str, RuleDescription]:
    """Return, by check name, the rules of the default policy and of the policies that tenants.yaml names.

    Dagster has to know the checks when it loads the code, so a policy that is added later appears after a reload. A
    policy that cannot be read is skipped so that the code location loads; the tenant's next sync reports the error.
    """
    default = default_policy()
    descriptions = {check_name(rule.id): RuleDescription(rule, default) for rule in default.rules}
    try:
        tenants = load_tenants()
    except TenantsFileError:
        return descriptions
    for tenant in tenants.values():
        try:
            rules = load_rules(tenant)
        except TenantsFileError as error:
            logging.getLogger(__name__).warning("no checks for the tenant's own rules: %s", error)
            continue
        for rule in rules.rules:
            description = RuleDescription(rule, rules.policy_of[rule.id], rules.catalog)
            descriptions.setdefault(check_name(rule.id), description)
    return descriptions
