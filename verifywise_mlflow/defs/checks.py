"""The policies' rules as asset checks on ``compliance_results``, each with a result for each tenant.

Dagster marks partitioned checks as a preview. Without them each tenant's result would overwrite the
tenant's before it, so the page would only ever show the last one synced.
"""

import logging
import warnings

import dagster as dg

from verifywise_mlflow.compliance.policy import default_policy
from verifywise_mlflow.compliance.rules import Rule
from verifywise_mlflow.defs.check_results import check_name
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.pipeline.policies import rules_of
from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants

_HOW_TO_READ = (
    "A warning says that versions fail this rule, that MLflow shows no evidence for it ('not evidenced', which is not "
    "non-compliance: it may be done and documented elsewhere), or that it could not be evaluated. Gaps that a waiver "
    "covers stay gaps and are counted beside; a check passes where no other is open."
)


def check_specs(asset: str) -> list[dg.AssetCheckSpec]:
    """Return a check for each rule that any tenant is asked.

    Dagster has to know them when it loads the code: a policy that comes later shows once that was reloaded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name=check_name(rule.id),
                asset=asset,
                description=f"{rule.title}. {_HOW_TO_READ}",
                partitions_def=tenant_partitions,
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
